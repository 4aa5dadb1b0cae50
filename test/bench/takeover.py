#!/usr/bin/env python3
"""From a person's press to the robot doing as told: the real daemon, the simulated kitchen, a
policy that drives, and a supervisor's device that takes over again and again.

usage: takeover.py build/release/nudge [--times N] [--json]

Per takeover, from the moment before the message is sent: until the first control tick in which the
policy moves nothing any more, and until the first in which the robot moves as the person commands.
Ticks are told by their beginning on the daemon's clock, which is this program's as well.
"""

import argparse
import json
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "test" / "e2e"), str(ROOT / "python" / "src")]
import nudge  # noqa: E402
from program import free_port  # noqa: E402
from quantile import quantile  # noqa: E402

JOG = [0.3, 0.0, 0.1, 0.0]


def take_over(supervisor, times):
    """Milliseconds to the cut and to the first motion, of each takeover."""
    cuts, motions = [], []
    for number in range(times):
        supervisor.hand_back()
        supervisor.wait_for(nudge.Authority.AUTO)
        time.sleep(0.3 + 0.017 * (number % 7))  # at any phase of a policy step
        cut = motion = None
        pressed = time.monotonic_ns()

        def command(state):
            nonlocal cut, motion
            if cut is None and state.source != nudge.Source.POLICY:
                cut = state.now_ns - pressed
            if motion is None and state.source == nudge.Source.HUMAN:
                motion = state.now_ns - pressed
            return JOG if time.monotonic_ns() - pressed < 1e9 else None

        supervisor.takeover()
        supervisor.drive(command)
        supervisor.hold()
        if cut is None or motion is None:
            sys.exit("takeover.py: the robot did not come to move within a second")
        cuts.append(cut / 1e6)
        motions.append(motion / 1e6)
    return cuts, motions


def measure(program, times, folder):
    state = folder / "state"
    subprocess.run([program, "train", "--state", state, "--record", "15", "--json"], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    port = free_port()
    with open(folder / "daemon.log", "w") as log:
        daemon = subprocess.Popen(
            [program, "run", "--state", state, "--set", "ports.http=0", "--set",
             f"ports.teleop={port}", "--no-learning"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            daemon.stdout.readline()
            with nudge.Supervisor("kitchen", nudge.token(state), f"tcp://127.0.0.1:{port}",
                                  name="bench") as supervisor:
                cuts, motions = take_over(supervisor, times)
        finally:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(60)
    return {"takeovers": len(cuts),
            **{f"{what}_{name}_ms": quantile(values, q)
               for what, values in (("cut", cuts), ("motion", motions))
               for name, q in (("p50", 0.5), ("p99", 0.99), ("worst", 1.0))}}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nudge-takeover-") as folder:
        report = measure(str(pathlib.Path(options.program).resolve()), options.times,
                         pathlib.Path(folder))
    if options.json:
        print(json.dumps(report, indent=2))
        return
    for name, content in report.items():
        print(f"{name:16} {content:.1f}" if isinstance(content, float) else f"{name:16} {content}")


if __name__ == "__main__":
    main()
