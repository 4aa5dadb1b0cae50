#!/usr/bin/env python3
"""What the daemon adds to each request when it passes an upstream's chunks on: the same requests to
the same upstream, directly and through it, in turns.

python3 test/bench/openpi.py build/release/nudge [--requests 500] [--edit] [--json FILE]

With --edit the daemon first learns an edit, of a takeover by this program, and what is measured is
the upstream's chunks after the head has edited them.
"""

import argparse
import json
import os
import pathlib
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))
import program
from live_test import Daemon
from openpi_programs import Program, Upstream, libero
from people import Person
from program import free_port
from quantile import quantile


BLOCK = 20  # requests to one before it is the other's turn: a busy machine is busy for both


def quantiles(values):
    return {name: quantile(values, q) for name, q in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))}


class Set:
    """A daemon with a program in front of it and a person beside it."""

    def __init__(self, folder, upstream, *more):
        self.port = free_port()
        self.robot = ["--set", "robot.driver=openpi", "--set", "openpi.preset=libero",
                      "--set", f"openpi.upstream=ws://127.0.0.1:{upstream.port}", *more]
        self.daemon = Daemon(pathlib.Path(folder) / "state", "--no-learning", *self.robot,
                             "--set", f"openpi.port={self.port}", "--set", "openpi.gap_s=20",
                             "--set", "openpi.slow_takeover=true",
                             "--set", "robot.episode_steps=1000000")
        self.asks = Program(self.port)
        self.person = Person("web", port=self.daemon.port, token=self.daemon.token, name="bench")

    def work(self):
        """Until the policy drives."""
        while (answer := self.asks.infer(libero()))["hil"]["source"] not in ("upstream", "edited"):
            if answer["hil"]["state"] == "HOLD":
                self.person.ask("hand_back")
            time.sleep(0.02)

    def teach(self):
        """A correction, and what went well beside it."""
        self.work()
        for _ in range(80):
            self.asks.infer(libero())
            time.sleep(0.02)
        self.person.make_action = lambda *_: [0, 0.5, 0, 0, 0, 0, 0]
        driven = 0
        while driven < 60:
            source = self.asks.infer(libero())["hil"]["source"]
            driven += source == "human"
            if source in ("upstream", "edited", "hold") and driven < 60:
                self.person.take_over()
            time.sleep(0.02)
        self.person.dead_man = False
        time.sleep(1)
        self.work()
        self.person.ask("label", episode=0, span=0, value="success")

    def end(self):
        self.person.leave()
        self.asks.leave()
        self.daemon.stop()


def compare(direct, through, requests):
    """How long each of them was answered; what is not the policy's does not count."""
    took = {"direct": [], "through": []}
    while len(took["through"]) < requests:
        for name, asks in (("direct", direct), ("through", through.asks)):
            through.work()
            for _ in range(BLOCK):
                begun = time.perf_counter()
                answer = asks.infer(libero())
                spent = 1e3 * (time.perf_counter() - begun)
                if name == "direct" or answer["hil"]["source"] in ("upstream", "edited"):
                    took[name].append(spent)
                time.sleep(0.005)
    return took


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--edit", action="store_true")
    parser.add_argument("--json", help="write the figures to this file")
    options = parser.parse_args()
    program._program = str(pathlib.Path(options.program).resolve())
    with tempfile.TemporaryDirectory(prefix="nudge-bench-") as folder:
        upstream = Upstream(free_port())
        more = ["--set", "policy.reference=upstream"] if options.edit else []
        if options.edit:
            taught = Set(folder, upstream, *more)
            taught.teach()
            taught.end()
            trained = program.nudge("train", "--state", pathlib.Path(folder) / "state",
                                    *taught.robot)
            if trained.code != 0:
                sys.exit(str(trained))
        direct, through = Program(upstream.port), Set(folder, upstream, *more)
        load = os.getloadavg()[0]
        took = compare(direct, through, options.requests)
        source = through.asks.infer(libero())["hil"]
        if source["source"] != ("edited" if options.edit else "upstream"):
            sys.exit(f"that was not what was to be measured: {source}")
        figures = {"answers": source["source"], "direct_ms": quantiles(took["direct"]),
                   "through_ms": quantiles(took["through"]), "requests": len(took["through"]),
                   "cores": os.cpu_count(), "load_before": load, "load_after": os.getloadavg()[0]}
        figures["added_ms"] = {q: figures["through_ms"][q] - figures["direct_ms"][q]
                               for q in figures["direct_ms"]}
        print(json.dumps(figures, indent=1))
        if options.json:
            pathlib.Path(options.json).write_text(json.dumps(figures, indent=1))
        through.end()
        direct.leave()
        upstream.leave()


if __name__ == "__main__":
    main()
