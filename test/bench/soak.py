#!/usr/bin/env python3
"""Does anything grow? The daemon, its learner and the simulated kitchen in real time, with three
supervisors at both ports: every 10 seconds the next of them takes over, drives and hands back, and
the weights change at least every 30 seconds.

usage: soak.py build/release/nudge [--minutes M] [--out FILE] [--set KEY=VALUE]... [--json]

Writes a sample every few seconds as a JSON object a line to FILE: memory and descriptors of the
daemon and of its learner, the write-ahead log, control ticks (work, lateness, missed), events,
changes of weights, takeovers. At the end, or at SIGTERM, a last line with the slopes, which is
printed too. Slopes leave out the first third, in which caches fill. Work is CPU time and says the
same on a busy machine; lateness and missed ticks do not. Exit code 1: something grows or was lost.
"""

import argparse
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

FOLDER = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent / "e2e"))
sys.path.insert(0, str(FOLDER))
import live  # noqa: E402
import program  # noqa: E402
from people import Person  # noqa: E402

TAKEOVER_EVERY, SWAP_EVERY, DRIVE = 10, 30, 2  # s
SAMPLES = 720  # at most, and one a second
WAL_LIMIT = 64 * 1024 * 1024
DESCRIPTORS_MORE = 16  # that may be open at one moment and not at another
MEMORY_PER_HOUR = 1.0  # MiB, beside what the gate's dataset keeps of each step
BYTES_PER_ENTRY = 64  # of the log: the design's bound for a step

stopped = False


def stop(*_):
    global stopped
    stopped = True


def towards_block(state):
    """What a person would do: over the block, down, grip, up."""
    x, y, z, opening = state["proprioception"]
    dx, dy, dz = state["objects"][3:6]
    side = (dx * dx + dy * dy) ** 0.5

    def rate(error):
        return max(-1.0, min(1.0, 32 * error))
    if side < 0.012 and abs(dz) < 0.012 or side < 0.03 and abs(dz) < 0.03 and opening < 0.06:
        return [0.0, 0.0, 1.0 if opening < 0.06 else 0.0, -1.0]
    open_up = 1.0 if opening < 0.074 else 0.0
    down = dz if side < 0.015 else dz + 0.07
    aside = side > 0.02 and -dz < 0.05 and side < 0.10
    return [0.0 if aside else rate(dx), 0.0 if aside else rate(dy), rate(down), open_up]


class Teacher:
    """One of the three. What it sees of the block comes from whoever is at the teleop port."""

    def __init__(self, kind, seen, **where):
        self.kind, self.where, self.seen = kind, where, seen
        self.person, self.lost = None, 0
        self.connect()

    def connect(self):
        self.person = Person(self.kind, **self.where, on_state=self.look)
        self.person.make_action = lambda sequence, action: \
            towards_block(self.seen) if "objects" in self.seen else [0.0] * 4

    def look(self, state):
        if "objects" in state:
            self.seen.update(state)

    def teach(self):
        """Takes over, drives, hands back; False when it was not let."""
        try:
            if not self.person.take_over()["ok"]:
                return False
            time.sleep(DRIVE)
            self.person.driving = False
            self.person.sent.clear()
            return self.person.ask("hand_back")["ok"]
        except (ConnectionError, AssertionError):
            self.person.driving = False
            self.lost += 1
            self.person.leave()
            self.connect()
            return False


def read(path):
    try:
        return pathlib.Path(path).read_text()
    except OSError:
        return ""


def process(pid):
    """Memory in MiB, descriptors and CPU seconds of a process; None when it has ended."""
    status = read(f"/proc/{pid}/status")
    resident, own = re.search(r"VmRSS:\s+(\d+)", status), re.search(r"RssAnon:\s+(\d+)", status)
    if not resident or not own:
        return None
    fields = read(f"/proc/{pid}/stat").rsplit(")", 1)[1].split()
    try:
        descriptors = len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return None
    return {"resident_mib": round(int(resident[1]) / 1024, 3),
            "own_mib": round(int(own[1]) / 1024, 3), "descriptors": descriptors,
            "cpu_s": (int(fields[11]) + int(fields[12])) / live.TICK}


class Daemon(live.Daemon):
    """Connects again when its connection was idle for so long that it was closed."""

    def request(self, method, path, body=None):
        try:
            return super().request(method, path, body)
        except (http.client.RemoteDisconnected, ConnectionError):
            self.connection.close()
            return super().request(method, path, body)


class Histogram:
    """Quantiles of what came since the look before, as upper bounds of buckets, in us."""

    def __init__(self, name):
        self.name, self.before = name, {}

    def look(self, metrics):
        now = {float(bound): int(float(count)) for bound, count in
               re.findall(rf'^{self.name}_bucket{{le="([^"]+)"}} (\S+)$', metrics, re.M)}
        came = {bound: count - self.before.get(bound, 0) for bound, count in now.items()}
        self.before = now
        total = max(came.values(), default=0)
        if total == 0:
            return {"p50": None, "p99": None}

        def at(q):
            bound = min(b for b, n in sorted(came.items()) if n >= q * total)
            return None if bound == float("inf") else round(bound * 1e6, 1)
        return {"p50": at(0.5), "p99": at(0.99)}


def slope(samples, pick):
    """Least squares over the last two thirds, a hour."""
    points = [(s["t"] / 3600, pick(s)) for s in samples[len(samples) // 3:] if pick(s) is not None]
    if len(points) < 3:
        return None
    t = sum(p[0] for p in points) / len(points)
    v = sum(p[1] for p in points) / len(points)
    spread = sum((p[0] - t) ** 2 for p in points)
    return sum((p[0] - t) * (p[1] - v) for p in points) / spread if spread else None


def summary(samples, counts, minutes):
    def of(part, key):
        return lambda s: s[part][key] if s[part] else None

    def line(pick):
        values = [pick(s) for s in samples if pick(s) is not None]
        per_hour = slope(samples, pick)
        return {"first": values[0], "last": values[-1], "most": max(values),
                "per_hour": None if per_hour is None else round(per_hour, 3)} if values else None
    last = samples[-1]
    report = {
        "minutes": round(minutes, 2), "samples": len(samples),
        "daemon": {key: line(of("daemon", key)) for key in
                   ("resident_mib", "own_mib", "descriptors")},
        "learner": {key: line(of("learner", key)) for key in
                    ("resident_mib", "own_mib", "descriptors")},
        "sequence_per_hour": slope(samples, lambda s: s["sequence"]),
        "wal_bytes": line(lambda s: s["wal_bytes"]),
        "log_bytes": line(lambda s: s["log_bytes"]),
        "work_us": {q: line(of("work_us", q)) for q in ("p50", "p99")},
        "late_us": {q: line(of("late_us", q)) for q in ("p50", "p99")},
        "cpu_s": last["daemon"] and last["daemon"]["cpu_s"],
        **{key: last[key] for key in ("ticks", "missed", "work_worst_us", "late_worst_us",
                                      "steps_lost", "failed_commits", "sequence", "episodes")},
        **counts}
    return report


def troubles(report, long):
    found = []
    if report["wal_bytes"]["most"] > WAL_LIMIT:
        found.append(f"the write-ahead log was {report['wal_bytes']['most']} bytes")
    for who in ("daemon", "learner"):
        line = report[who]["descriptors"]
        if line and line["last"] > line["first"] + DESCRIPTORS_MORE:
            found.append(f"descriptors of the {who}: {line['first']}, then {line['last']}")
    memory = report["daemon"]["own_mib"]["per_hour"]
    allowed = MEMORY_PER_HOUR + BYTES_PER_ENTRY * (report["sequence_per_hour"] or 0) / 2**20
    if long and memory is not None and memory > allowed:
        found.append(f"memory of the daemon: {memory} MiB more each hour, {allowed:.1f} allowed")
    if report["steps_lost"] or report["failed_commits"]:
        found.append(f"{report['steps_lost']} steps and {report['failed_commits']} commits lost")
    if not report["swaps"] or not report["takeovers"]:
        found.append(f"{report['swaps']} swaps, {report['takeovers']} takeovers: no load")
    return found


def soak(options, state, log, out):
    teleop = program.free_port()
    daemon = Daemon(options.program, state, log, "--set", f"ports.teleop={teleop}",
                         *[word for one in options.set for word in ("--set", one)])
    tokens = json.loads((state / "run/tokens.json").read_text())["tokens"]
    seen, teachers = {}, []
    counts = {"takeovers": 0, "not_let": 0, "swaps": 0, "promoted": 0, "starts": 0, "faults": 0,
              "resumed": 0, "links_lost": 0, "learner_starts": 0}
    samples = []
    try:
        teachers += [Teacher("teleop", seen, port=teleop, token=tokens["supervisor"], name="anna"),
                     Teacher("teleop", seen, port=teleop, token=tokens["supervisor"], name="bert"),
                     Teacher("web", seen, port=daemon.port, token=tokens["supervisor"],
                             name="cleo")]
        begin = time.monotonic()
        end = begin + 60 * options.minutes
        every = max(1.0, 60 * options.minutes / SAMPLES)
        next_sample, next_takeover = begin, begin + 3
        turn, live_version, swapped, episode, learner = 0, 0, begin, 0, None
        work, late = Histogram("nudge_tick_work_seconds"), Histogram("nudge_tick_late_seconds")
        while time.monotonic() < end and not stopped:
            status = daemon.status()
            now = time.monotonic()
            if status["state"] == "ESTOP":
                sys.exit("soak.py: somebody pressed STOP")
            if status["state"] == "FAULT_HOLD":
                counts["faults"] += daemon.say("reset_fault")[0] == 200
            elif status["state"] == "HOLD":
                counts["starts"] += daemon.say("hand_back")[0] == 200
            if status["weights"]["live"] not in (0, live_version):
                live_version, swapped = status["weights"]["live"], now
                counts["swaps"] += 1
            if status["learning"]["state"] in ("paused", "waiting"):
                counts["resumed"] += daemon.say("resume_learning")[0] == 200
            if now - swapped > SWAP_EVERY and status["state"] in ("AUTO", "HUMAN"):
                # The learner has brought nothing: the engineer goes to and fro between versions.
                versions = json.loads(daemon.request("GET", "/api/v1/weights")[1])["versions"]
                others = [v["version"] for v in versions if v["version"] != live_version]
                swapped = now
                if others:
                    counts["promoted"] += daemon.say("promote", version=others[0])[0] == 200
            if status["episode"]["id"] != episode:
                if episode:
                    daemon.say("label", episode=episode, span=0,
                               value="success" if seen.get("last_success") else "failure")
                episode = status["episode"]["id"]
            if now >= next_takeover and status["state"] == "AUTO":
                next_takeover = max(next_takeover + TAKEOVER_EVERY, now)
                taught = teachers[turn % len(teachers)].teach()
                turn += 1
                counts["takeovers" if taught else "not_let"] += 1
            if now >= next_sample:
                next_sample = max(next_sample + every, now)
                metrics = daemon.metrics()
                pids = program.learners(state)
                if pids and pids[0] != learner:
                    learner = pids[0]
                    counts["learner_starts"] += 1
                counts["links_lost"] = sum(teacher.lost for teacher in teachers)
                samples.append({
                    "t": round(now - begin, 2), "daemon": process(daemon.process.pid),
                    "learner": process(pids[0]) if pids else None,
                    "wal_bytes": int(live.value(metrics, "nudge_log_wal_bytes")),
                    "log_bytes": sum(f.stat().st_size for f in (state / "log").rglob("*")
                                     if f.is_file()),
                    "work_us": work.look(metrics), "late_us": late.look(metrics),
                    "ticks": int(live.value(metrics, "nudge_control_ticks_total")),
                    "missed": int(live.value(metrics, "nudge_missed_ticks_total")),
                    "work_worst_us":
                        live.value(metrics, "nudge_tick_work_worst_seconds") * 1e6,
                    "late_worst_us":
                        live.value(metrics, "nudge_tick_late_worst_seconds") * 1e6,
                    "steps_lost": int(live.value(metrics, "nudge_steps_lost_total")),
                    "failed_commits": int(live.value(metrics, "nudge_log_failed_commits_total")),
                    "sequence": int(live.value(metrics, "nudge_log_durable_sequence")),
                    "episodes": int(live.value(metrics, "nudge_episodes_total")),
                    "state": status["state"], "live": live_version, **counts})
                out.write(json.dumps(samples[-1]) + "\n")
                out.flush()
            time.sleep(0.2)
        return summary(samples, counts, (time.monotonic() - begin) / 60)
    finally:
        for teacher in teachers:
            teacher.person.leave()
        daemon.process.send_signal(signal.SIGTERM)
        try:
            daemon.process.wait(60)
        finally:
            program.end(daemon.process)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--out", help="file for the samples; without it none is kept")
    parser.add_argument("--set", action="append", default=[], help="a setting of the daemon")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    options.program = str(pathlib.Path(options.program).resolve())
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    with tempfile.TemporaryDirectory(prefix="nudge-soak-") as folder:
        state = pathlib.Path(folder) / "state"
        subprocess.run([options.program, "train", "--state", state, "--record", "15", "--json"],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with open(options.out or os.devnull, "w") as out:
            with open(f"{options.out}.log" if options.out else os.devnull, "w") as log:
                report = soak(options, state, log, out)
            report["log_whole"] = subprocess.run(
                [options.program, "log", "--state", state, "verify"],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
            report["troubles"] = troubles(report, options.minutes >= 30)
            if not report["log_whole"]:
                report["troubles"].append("nudge log verify: the log is not whole")
            out.write(json.dumps({"summary": report}) + "\n")
    if options.json:
        print(json.dumps(report, indent=2))
    else:
        for name, content in report.items():
            print(f"{name:14} {content}")
    return 1 if report["troubles"] else 0


if __name__ == "__main__":
    sys.exit(main())
