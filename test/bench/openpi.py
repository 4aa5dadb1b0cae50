#!/usr/bin/env python3
"""What the daemon adds to each request when it passes an upstream's chunks on: the same requests to
the same upstream, directly and through it.

python3 test/bench/openpi.py build/release/nudge [--requests 500] [--json FILE]
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
from program import free_port, wait_until


def measure(asks, seen, requests):
    took = []
    for _ in range(requests):
        begun = time.perf_counter()
        asks.infer(seen)
        took.append(1e3 * (time.perf_counter() - begun))
        time.sleep(0.005)
    return took


def quantiles(values):
    values = sorted(values)
    return {"p50": values[len(values) // 2], "p90": values[int(len(values) * 0.9)],
            "p99": values[int(len(values) * 0.99)]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--json", help="write the figures to this file")
    options = parser.parse_args()
    program._program = str(pathlib.Path(options.program).resolve())
    with tempfile.TemporaryDirectory(prefix="nudge-bench-") as folder:
        upstream = Upstream(free_port())
        port = free_port()
        daemon = Daemon(pathlib.Path(folder) / "state", "--no-learning", "--set",
                        "robot.driver=openpi", "--set", "openpi.preset=libero",
                        "--set", f"openpi.port={port}", "--set", "openpi.gap_s=20",
                        "--set", f"openpi.upstream=ws://127.0.0.1:{upstream.port}",
                        "--set", "openpi.slow_takeover=true", "--set", "robot.episode_steps=1000000")
        direct, through = Program(upstream.port), Program(port)
        through.work()
        person = Person("web", port=daemon.port, token=daemon.token, name="bench")
        person.ask("hand_back")
        wait_until(lambda: through.newest() and through.newest()["hil"]["source"] == "upstream",
                   "the upstream's chunks")
        through.rest()
        seen = libero()
        rounds = []
        for _ in range(2):  # in turns: a busy machine is busy for both
            rounds.append((measure(direct, seen, options.requests // 2),
                           measure(through, seen, options.requests // 2)))
        source = through.infer(seen)["hil"]
        if not source["as_is"]:
            sys.exit(f"the chunks were not passed on: {source}")
        figures = {"direct_ms": quantiles(sum((r[0] for r in rounds), [])),
                   "through_ms": quantiles(sum((r[1] for r in rounds), [])),
                   "requests": options.requests, "cores": os.cpu_count()}
        figures["added_ms"] = {q: figures["through_ms"][q] - figures["direct_ms"][q]
                               for q in figures["direct_ms"]}
        print(json.dumps(figures, indent=1))
        if options.json:
            pathlib.Path(options.json).write_text(json.dumps(figures, indent=1))
        for each in (person, direct, through):
            each.leave()
        daemon.stop()
        upstream.leave()


if __name__ == "__main__":
    main()
