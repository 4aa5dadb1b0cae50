#!/usr/bin/env python3
"""Searches for inputs that break a reader of untrusted bytes: runs libFuzzer targets for a while each.

Each target starts from its committed inputs (test/fuzz/corpus/NAME) and from what earlier searches
found, and runs until it has used its share of processor time, however busy the machine is. What it
finds stays in FOLDER/NAME/found; an input that breaks it is FOLDER/NAME/crash-*, its report is
FOLDER/NAME/log. The programs are those of the preset `fuzz`: scripts/test.sh --preset fuzz

usage: scripts/fuzz.py [--minutes N] [--jobs N] [--keep] [--json FILE] [--folder FOLDER] [TARGET]...
  TARGET          supervisor_message, config, ...; by default each that was built
  --minutes N     processor time of each target; by default 30
  --jobs N        targets at a time; by default one per processor
  --keep          add to the committed inputs a smallest set of those that reach code which they
                  do not reach
  --json FILE     write what became of each target
  --folder FOLDER what was found; by default build/fuzz/found
exits 0 when nothing breaks, 1 when a target breaks, 2 when there is no such target
"""

import argparse
import collections
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAMS = ROOT / "build/fuzz/test/fuzz"
CORPUS = ROOT / "test/fuzz/corpus"
CLOCK_TICK = os.sysconf("SC_CLK_TCK")
ARTIFACTS = ("crash-*", "leak-*", "oom-*", "timeout-*")
# What a reader may take for one input, of some kilobytes; the sanitizers multiply both.
SECONDS = 20
LIMITS = (f"-timeout={SECONDS}", "-rss_limit_mb=2048")


def seconds_used(pid):
    """Processor time of a running process."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICK


class Search:
    """One target at work."""

    def __init__(self, name, folder, seconds):
        self.name = name
        self.folder = folder / name
        self.seconds = seconds
        self.program = PROGRAMS / f"{name}_fuzz"
        self.found = self.folder / "found"
        self.found.mkdir(parents=True, exist_ok=True)
        self.log = self.folder / "log"
        self.before = 0.0  # processor time of earlier processes
        self.used = 0.0    # and of this one
        self.inputs = 0    # of earlier processes
        self.started = time.monotonic()
        self.begin()

    def begin(self):
        for file in self.artifacts():  # what broke it once is tried again first
            file.rename(self.found / file.name)
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [self.program, *LIMITS, "-print_final_stats=1",
                 f"-artifact_prefix={self.folder}/", self.found, CORPUS / self.name],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def artifacts(self):
        return sorted(file for pattern in ARTIFACTS for file in self.folder.glob(pattern))

    def was_the_machine(self, file):
        """Whether an input that took too long, by the clock, does not when it is run by itself."""
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([self.program, "-timeout=600", file], stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        now = resource.getrusage(resource.RUSAGE_CHILDREN)
        return (done.returncode == 0 and now.ru_utime + now.ru_stime
                - used.ru_utime - used.ru_stime < SECONDS)

    def over(self):
        """Whether it has ended; asks it to when its time is used up."""
        if self.process.poll() is not None:
            late = [file for file in self.folder.glob("timeout-*") if self.was_the_machine(file)]
            if not late:
                return True
            self.before += self.used
            self.used = 0.0
            self.inputs += self.figures()[0]
            self.begin()  # and tries that input again
            return False
        self.used = seconds_used(self.process.pid)
        if self.before + self.used >= self.seconds:
            self.process.send_signal(signal.SIGINT)  # it ends in order, with its figures
        return False

    def figures(self):
        """Inputs of the newest process, places reached, features, by its own words."""
        text = self.log.read_text(errors="replace")
        last = collections.deque(re.finditer(r"^#(\d+)\s.* cov: (\d+) ft: (\d+)", text, re.M), 1)
        return tuple(map(int, last[0].groups())) if last else (0, 0, 0)

    def result(self):
        inputs, places, features = self.figures()
        broken = [str(file) for file in self.artifacts()]
        # Interrupted, libFuzzer says that it ran, by an exit status of its own (72).
        ended_well = self.process.returncode in (0, 72) and not broken
        return {"target": self.name, "inputs": self.inputs + inputs, "places": places,
                "features": features, "found": len(list(self.found.iterdir())),
                "processor_s": round(self.before + self.used),
                "clock_s": round(time.monotonic() - self.started), "broken": broken,
                "exit": self.process.returncode, "ok": ended_well}


def run(names, folder, seconds, jobs):
    """Results in the order in which the targets end."""
    waiting = collections.deque(names)
    running = []
    results = []
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                running.append(Search(waiting.popleft(), folder, seconds))
                print(f"{running[-1].name}: begins", file=sys.stderr, flush=True)
            time.sleep(0.5)
            for search in [search for search in running if search.over()]:
                running.remove(search)
                results.append(search.result())
                print(line(results[-1]), file=sys.stderr, flush=True)
    finally:
        for search in running:
            search.process.kill()
            search.process.wait()
    return results


def line(result):
    fate = "nothing broke" if result["ok"] else \
        f"BROKE (exit {result['exit']}): {', '.join(result['broken']) or 'see its log'}"
    return (f"{result['target']}: {result['inputs']:,} inputs in {result['processor_s']} s, "
            f"{result['places']:,} places reached, {fate}")


def keep(name, folder):
    """Adds what reaches further to the committed inputs. Returns how many. Places count, not how
    often one input passes them: that would be ten times as many files."""
    merged = folder / name / "merged"
    shutil.rmtree(merged, ignore_errors=True)
    shutil.copytree(CORPUS / name, merged)
    before = {file.name for file in merged.iterdir()}
    subprocess.run([PROGRAMS / f"{name}_fuzz", *LIMITS, "-use_counters=0", "-set_cover_merge=1",
                    merged, folder / name / "found"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, check=True)
    new = [file for file in merged.iterdir() if file.name not in before]
    for file in new:
        shutil.copy(file, CORPUS / name / file.name)
    return len(new)


def main():
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("targets", nargs="*")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--folder", type=pathlib.Path, default=ROOT / "build/fuzz/found")
    parser.add_argument("--help", "-h", action="store_true")
    arguments = parser.parse_args()
    if arguments.help:
        print(__doc__)
        return 0
    built = sorted(file.name.removesuffix("_fuzz") for file in PROGRAMS.glob("*_fuzz")
                   if (CORPUS / file.name.removesuffix("_fuzz")).is_dir())
    unknown = [name for name in arguments.targets if name not in built]
    if unknown or not built:
        print(f"no such target: {', '.join(unknown) or 'none is built'}; there are: "
              f"{', '.join(built) or 'none'}. scripts/test.sh --preset fuzz builds them.",
              file=sys.stderr)
        return 2
    results = run(arguments.targets or built, arguments.folder.resolve(), arguments.minutes * 60,
                  max(1, arguments.jobs))
    if arguments.keep:
        for result in results:
            if result["ok"]:
                result["kept"] = keep(result["target"], arguments.folder.resolve())
                print(f"{result['target']}: {result['kept']} inputs kept", file=sys.stderr)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")
    broken = [result["target"] for result in results if not result["ok"]]
    print(f"{len(results)} targets, {sum(result['inputs'] for result in results):,} inputs: "
          + (f"BROKEN: {', '.join(broken)}" if broken else "nothing broke"))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
