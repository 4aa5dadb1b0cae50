#!/usr/bin/env python3
"""How well the policy's asking for help tells failures in time, over several policies.

usage: test/bench/help.py NUDGE OUT [--starts N] [--calibration N] [--seed N] STATE:VERSION[@KEY=VALUE]...

For each version of the weights in each state folder it runs `nudge eval --help-signal`: thresholds
from some starts, figures from others. Writes OUT/VERSION files as they come (a run that was cut off
goes on where it was), a table on standard output, and OUT/help.png with gnuplot.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys

from wilson import wilson


def share(successes, total):
    if total == 0:
        return "-"
    low, high = wilson(successes, total)
    return f"{100 * successes / total:.0f} % ({100 * low:.0f} to {100 * high:.0f})"


def evaluate(options, policy):
    policy, _, setting = policy.partition("@")
    state, _, version = policy.rpartition(":")
    name = f"{pathlib.Path(state).parent.name} v{version}" + (f", {setting}" if setting else "")
    path = options.out / (name.replace(", ", "-").replace(" ", "-") + ".json")
    if not path.exists():
        done = subprocess.run(
            [options.nudge, "eval", "--json", "--help-signal", "--state", state, "--version-number",
             version, "--starts", str(options.starts), "--calibration", str(options.calibration),
             "--seed", str(options.seed), *(["--set", setting] if setting else []), *options.set],
            stdout=subprocess.PIPE, text=True, check=True)
        path.write_text(done.stdout)
    return name, json.loads(path.read_text())


def add(total, one):
    for key in ("failures", "successes", "failures_asked", "successes_asked"):
        total[key] = total.get(key, 0) + one[key]
    total.setdefault("lead", []).extend(one["lead"])


def line(name, d):
    lead = sorted(d["lead"])
    seconds = "-"
    if lead:
        quarter = [lead[int(q * (len(lead) - 1))] for q in (0.25, 0.75)]
        seconds = f"{statistics.median(lead):.1f} ({quarter[0]:.1f} to {quarter[1]:.1f})"
    asked = d["failures_asked"] + d["successes_asked"]
    return (f"| {name} | {share(d['failures_asked'], asked)} | {share(d['failures_asked'], d['failures'])} "
            f"| {share(d['successes_asked'], d['successes'])} | {seconds} |")


def recall_within(d, seconds, limit):
    """Share of all failures in which it had asked `seconds` after the start."""
    return sum(lead >= limit - seconds for lead in d["lead"]) / max(1, d["failures"])


def plot(out, totals, limit):
    lines = []
    names = ["both", "disagreement", "travel alone", "time alone"]
    for i in range(int(limit * 10) + 1):
        t = i / 10
        lines.append(" ".join([f"{t:.1f}"] + [f"{100 * recall_within(totals[n], t, limit):.3f}" for n in names]))
    (out / "recall.dat").write_text("\n".join(lines) + "\n")
    titles = {"both": "both signs", "disagreement": "disagreement alone", "travel alone": "travel alone",
              "time alone": "time alone (baseline)"}
    curves = ", ".join(
        f"'recall.dat' using 1:{k + 2} with lines lw 3 dt {2 if n == 'time alone' else 1} title '{titles[n]}'"
        for k, n in enumerate(names))
    script = f"""set terminal pngcairo size 1000,560 font 'DejaVu Sans,13'
set output 'help.png'
set title 'Failures in which the policy had asked for help, by then'
set xlabel 'seconds since the start of the episode (time limit: {limit:g} s)'
set ylabel 'share of the failures (%)'
set yrange [0:100]
set xrange [0:{limit:g}]
set key bottom right
set grid
plot {curves}
"""
    subprocess.run(["gnuplot"], input=script, text=True, check=True, cwd=out)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("nudge")
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("policies", nargs="+", metavar="STATE:VERSION")
    parser.add_argument("--starts", type=int, default=100)
    parser.add_argument("--calibration", type=int, default=60)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--set", action="append", default=[], help="of the configuration, for all")
    options = parser.parse_args()
    options.set = [part for setting in options.set for part in ("--set", setting)]
    options.out.mkdir(parents=True, exist_ok=True)
    totals, limit = {}, 0.0
    print("| policy | succeeds | thresholds from | precision | recall | false alarms | seconds left, median |")
    print("|---|---|---|---|---|---|---|")
    for policy in options.policies:
        name, result = evaluate(options, policy)
        both = result["detectors"]["both"]
        episodes = both["failures"] + both["successes"]
        asked = both["failures_asked"] + both["successes_asked"]
        lead = f"{statistics.median(both['lead']):.1f}" if both["lead"] else "-"
        print(f"| {name} | {share(both['successes'], episodes)} | {result['successes_calibrated']} successes "
              f"| {share(both['failures_asked'], asked)} | {share(both['failures_asked'], both['failures'])} "
              f"| {share(both['successes_asked'], both['successes'])} | {lead} |", flush=True)
        for detector, one in result["detectors"].items():
            add(totals.setdefault(detector, {}), one)
        limit = max([limit] + [e["seconds"] for e in result["episodes"]])
    both = totals["both"]
    always = {"failures": both["failures"], "successes": both["successes"],
              "failures_asked": both["failures"], "successes_asked": both["successes"],
              "lead": [limit] * both["failures"]}
    print(f"\n{both['failures'] + both['successes']} episodes, {both['failures']} failures\n")
    print("| sign | precision | recall | asks in successes | seconds left: median (quartiles) |")
    print("|---|---|---|---|---|")
    for name, total in totals.items():
        print(line(name, total))
    print(line("always asking", always))
    plot(options.out, totals, limit)
    return 0


if __name__ == "__main__":
    sys.exit(main())
