#!/usr/bin/env python3
"""How the whole behaves in real time: the daemon, its learner, the simulated kitchen with both
cameras, the scripted supervisor, and somebody who says something every half second.

usage: live.py build/release/nudge [--minutes M] [--no-learning] [--cameras] [--viewers N] [--abuse]
               [--json]

Trains first weights from 15 demonstrations in a folder of its own, runs for M minutes (10) and
prints what the control ticks cost and how late they woke up, missed ticks, swaps, CPU time by
thread, memory, how long a message took to be acknowledged, which is when it is on disk, and how
long it took from the end of a correction to the first action of weights that learned from it.
--no-learning is the same run without a learner, and so without swaps, to compare with; --viewers
are people who watch everything, both cameras with --cameras; --abuse adds clients that send
garbage, promise a gigabyte, never read, and keep a thousand sockets half open.
"""

import argparse
import contextlib
import http.client
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))
import abuse  # noqa: E402
import corrections  # noqa: E402
from crowd import Crowd  # noqa: E402
from program import free_port  # noqa: E402
from quantile import quantile  # noqa: E402

TICK = os.sysconf("SC_CLK_TCK")
PAUSE = 0.5  # s between messages
CAMERAS = ("front", "wrist")  # of the kitchen
PERIOD = 0.02  # s, of the kitchen's control ticks


def cpu_by_thread(pid):
    """Seconds of CPU so far, by the names of the threads."""
    spent = {}
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        try:
            name = (task / "comm").read_text().strip()
            fields = (task / "stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue  # it ended while we looked
        spent[name] = spent.get(name, 0.0) + (int(fields[11]) + int(fields[12])) / TICK
    return spent


def memory_mib(pid):
    """Of its own: mapped segments of the log are the page cache's to give back."""
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"RssAnon:\s+(\d+)", text)[1]) / 1024


class Daemon:
    def __init__(self, program, state, log, *arguments):
        self.process = subprocess.Popen(
            [program, "run", "--state", state, "--set", "ports.http=0", *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True)
        address = self.process.stdout.readline().strip()
        if not address:
            sys.exit(f"live.py: the daemon did not start; see {log.name}")
        self.port = int(address.split("/#")[0].rsplit(":", 1)[1])
        self.token = address.split("#token=")[1]
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        self.sent = 0

    def request(self, method, path, body=None):
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        self.connection.request(method, path, body and json.dumps(body), headers)
        answer = self.connection.getresponse()
        return answer.status, answer.read().decode()

    def say(self, kind, **fields):
        self.sent += 1
        return self.request("POST", "/api/v1/feedback",
                            {"type": kind, "id": f"live:{self.sent}", **fields})

    def status(self):
        return json.loads(self.request("GET", "/api/v1/status")[1])

    def metrics(self):
        return self.request("GET", "/metrics")[1]


def value(metrics, name):
    return float(re.search(rf"^{re.escape(name)}(?:\{{[^}}]*\}})? (\S+)$", metrics, re.M)[1])


def histogram_us(metrics, name):
    """Quantiles, each told as the upper bound of its bucket, in microseconds, and how many took
    longer than a control period."""
    buckets = [(float(bound), int(float(count))) for bound, count in
               re.findall(rf'^{name}_bucket{{le="([^"]+)"}} (\S+)$', metrics, re.M)]
    total = value(metrics, f"{name}_count")
    worst = value(metrics, name.replace("_seconds", "_worst_seconds"))

    def at(q):
        return min(worst, next(b for b, n in buckets if n >= q * total)) * 1e6
    kept = max(n for b, n in buckets if b <= 1.0001 * PERIOD)
    return {"mean": value(metrics, f"{name}_sum") / total * 1e6, "p50": at(0.5), "p99": at(0.99),
            "p99_9": at(0.999), "worst": worst * 1e6, "over_a_period": total - kept}


def measure(options, folder):
    state = folder / "state"
    subprocess.run([options.program, "train", "--state", state, "--record", "15", "--json"],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with open(folder / "daemon.log", "w") as log:
        port = free_port()
        arguments = ["--set", f"ports.teleop={port}",
                     "--set", f"sim.cameras={str(options.cameras).lower()}"]
        if options.no_learning:
            arguments.append("--no-learning")
        daemon = Daemon(options.program, state, log, *arguments)
        helper = crowd = None
        try:
            helper = subprocess.Popen(
                [options.program, "supervise", "--state", state, "--port", str(port)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            crowd = Crowd(daemon.port, daemon.token, options.viewers,
                          CAMERAS if options.cameras else ())
            with abuse.Abuse(daemon.port, daemon.token) if options.abuse \
                    else contextlib.nullcontext():
                report = watch(options, daemon)
            if options.viewers:
                seen = crowd.report()
                report["viewers"] = {
                    "count": options.viewers,
                    "statuses_per_s": min(seen["statuses"]) / seen["seconds"],
                    "pictures_per_s": min(seen["pictures"], default=0) / seen["seconds"],
                    "picture_age_ms": quantile(seen["ages_ms"], 0.5) if seen["ages_ms"] else None}
        finally:
            if crowd is not None:
                crowd.leave()
            for process in (helper, daemon.process):
                if process is not None:
                    process.send_signal(signal.SIGTERM)
                    process.wait(60)
    return {**report, "corrections": corrections.figures(state)}


def watch(options, daemon):
    acks, memory, faults, restarts = [], [], 0, 0
    versions = set()
    begin = time.monotonic()
    cpu = cpu_by_thread(daemon.process.pid)
    end = begin + 60 * options.minutes
    while time.monotonic() < end:
        status = daemon.status()
        if status["state"] == "FAULT_HOLD":
            faults += 1
            daemon.say("reset_fault")
        elif status["state"] == "HOLD":
            restarts += 1
            daemon.say("hand_back")
        versions.add(status["weights"]["live"])
        memory.append(memory_mib(daemon.process.pid))
        sent = time.monotonic()
        code, body = daemon.say("words", text="well done", meant="comment")
        if code != 200:
            sys.exit(f"live.py: a message was refused: {code} {body}")
        acks.append((time.monotonic() - sent) * 1e3)
        if sys.stderr.isatty() and not options.json:
            print(f"\r{time.monotonic() - begin:4.0f} s of {60 * options.minutes:.0f}", end="",
                  file=sys.stderr)
        time.sleep(PAUSE)
    spent = {name: seconds - cpu.get(name, 0.0)
             for name, seconds in cpu_by_thread(daemon.process.pid).items()}
    metrics = daemon.metrics()
    settled = memory[len(memory) // 3:]
    return {
        "minutes": options.minutes, "learning": not options.no_learning,
        "cameras": options.cameras, "abuse": options.abuse,
        "ticks": value(metrics, "nudge_control_ticks_total"),
        "missed": value(metrics, "nudge_missed_ticks_total"),
        "faults": faults, "starts": restarts,
        "versions_live": len(versions - {0}),
        "lost_steps": value(metrics, "nudge_steps_lost_total"),
        "work_us": histogram_us(metrics, "nudge_tick_work_seconds"),
        "late_us": histogram_us(metrics, "nudge_tick_late_seconds"),
        "ack_ms": {"count": len(acks), "p50": quantile(acks, 0.5), "p99": quantile(acks, 0.99),
                   "worst": max(acks)},
        "cpu_s": {"all": sum(spent.values()),
                  **{n: s for n, s in sorted(spent.items()) if s >= 0.5}},
        "memory_mib": {"first": memory[0], "last": memory[-1],
                       "growth_per_hour": (settled[-1] - settled[0]) /
                                          max(len(settled) * PAUSE / 3600, 1e-9)},
    }


def told(number):
    if isinstance(number, dict):
        return "(" + ", ".join(f"{k} {told(v)}" for k, v in number.items()) + ")"
    return "-" if number is None else f"{number:.2f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--no-learning", action="store_true")
    parser.add_argument("--cameras", action="store_true", help="render them as well")
    parser.add_argument("--viewers", type=int, default=0)
    parser.add_argument("--abuse", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    options.program = str(pathlib.Path(options.program).resolve())
    with tempfile.TemporaryDirectory(prefix="nudge-live-") as folder:
        report = measure(options, pathlib.Path(folder))
    if options.json:
        print(json.dumps(report, indent=2))
        return
    for name, content in report.items():
        if isinstance(content, dict):
            content = "  ".join(f"{k} {told(v)}" for k, v in content.items())
        print(f"{name:14} {content}")


if __name__ == "__main__":
    main()
