#!/usr/bin/env python3
"""How often the gate was wrong: what gate_calibration wrote, as tables and a plot.

usage: gate_report.py RESULTS [--page docs/reference/gate-calibration.md] [--plots docs/images] [--json]

RESULTS is a folder of NAME.jsonl, and of probation.json, which is probation_calibration's. A candidate is harmful when it solves at least HARM points fewer
of the same starts than the weights it came from, and harmless when at most SAME fewer; what lies
between is counted in neither rate. Intervals are Wilson's, 95 %.
"""

import argparse
import collections
import json
import pathlib
import subprocess
import sys

from marked_page import write_figures
from wilson import wilson

HARM, SAME = 10, 3  # points
BINS = ((None, SAME), (SAME, 5), (5, 10), (10, 20), (20, 40), (40, None))  # points fewer
FAMILIES = {
    "round": "a round as the learner makes it; steps",
    "mirrored": "a round in which so much of what was shown is the opposite of it; share",
    "shuffled": "a round in which so much of what was shown belongs to another moment; share",
    "corrections-alone": "a round on corrections alone; steps",
    "hot": "300 steps at so many times the learning rate; factor",
    "noise": "noise on all weights; relative to their size",
    "offset": "one channel of the actions is off; standard deviations of what was shown",
    "scaled": "all actions are larger or smaller; factor",
}


def points_fewer(one):
    return 100 * (one["before"] - one["after"]) / one["starts"]


def rate(hits, n):
    if n == 0:
        return "-"
    low, high = wilson(hits, n)
    return f"{hits} of {n} ({100 * low:.0f} to {100 * high:.0f} %)"


def within(candidates, low, high):
    return [one for one in candidates if (low is None or points_fewer(one) > low)
            and (high is None or points_fewer(one) <= high)]


def bin_title(low, high):
    if low is None:
        return f"at most {high}"
    return f"more than {low}" if high is None else f"{low} to {high}"


def accepted(candidates):
    return sum(one["gate"]["accepted"] for one in candidates)


def rates(candidates):
    harmful = [one for one in candidates if points_fewer(one) >= HARM]
    harmless = [one for one in candidates if points_fewer(one) <= SAME]
    rounds = [one for one in harmless if one["family"] == "round"]
    return {"false_accepts": accepted(harmful), "harmful": len(harmful),
            "false_rejects": len(harmless) - accepted(harmless), "harmless": len(harmless),
            "rounds_refused": len(rounds) - accepted(rounds), "harmless_rounds": len(rounds)}


def tables(logs):
    everything = [one for log in logs.values() for one in log]
    lines = ["| log | held-out episodes | the weights solve | candidates | harmful, accepted "
             "| harmless, refused | of these the learner's own rounds |", "|---|---|---|---|---|---|---|"]
    parts = list(logs.items()) + [("all", everything)] * (len(logs) > 1)
    for name, log in parts:
        found, first = rates(log), log[0]
        held_out = "" if name == "all" else max(one["gate"]["held_out_episodes"] for one in log)
        solves = "" if name == "all" else f"{first['before']} of {first['starts']}"
        lines.append(f"| {name} | {held_out} | {solves} | {len(log)} "
                     f"| {rate(found['false_accepts'], found['harmful'])} "
                     f"| {rate(found['false_rejects'], found['harmless'])} "
                     f"| {rate(found['rounds_refused'], found['harmless_rounds'])} |")
    lines += ["", "| points fewer than before | accepted | refused as worse on held-out corrections "
              "| refused as something else |", "|---|---|---|---|"]
    for low, high in BINS:
        inside = within(everything, low, high)
        worse = sum(one["gate"]["reason"] == "worse_on_held_out" for one in inside)
        cells = [rate(hits, len(inside)) for hits in (
            accepted(inside), worse, len(inside) - accepted(inside) - worse)]
        lines.append(f"| {bin_title(low, high)} | " + " | ".join(cells) + " |")
    lines += ["", "| kind | strength: points fewer, and what the gate said |", "|---|---|"]
    for family, what in FAMILIES.items():
        by_strength = collections.defaultdict(list)
        for one in everything:
            if one["family"] == family:
                by_strength[one["strength"]].append(one)
        cells = []
        for strength, some in sorted(by_strength.items()):
            words = collections.Counter(one["gate"]["reason"] for one in some)
            mean = sum(map(points_fewer, some)) / len(some)
            cells.append(f"{strength:g}: {round(mean)}, " + ", ".join(
                f"{count} `{word}`" for word, count in words.most_common()))
        if cells:
            lines.append(f"| {what} | " + "; ".join(cells) + " |")
    return lines


def probation(lives):
    """What became of them, with and without allowance for doubt."""
    lines = ["", "| takeovers before, in so many episodes | takeovers now | taken back | confirmed | "
             "on probation after 100 | episodes until then |", "|---|---|---|---|---|---|"]
    pairs = collections.defaultdict(list)
    for life in lives:
        pairs[life["before"], life["parent_episodes"], life["now"]].append(life)
    for (before, episodes, now), some in sorted(pairs.items()):
        without, with_doubt = sorted(some, key=lambda life: life["doubt"])
        share = lambda what: " → ".join(
            f"{100 * what(life) / life['lives']:.0f}" for life in (without, with_doubt)) + " %"
        lines.append(
            f"| {100 * before:.0f} % of {episodes} | {100 * now:.0f} % "
            f"| {share(lambda l: l['rolled_back'])} | {share(lambda l: l['confirmed'])} "
            f"| {share(lambda l: l['lives'] - l['rolled_back'] - l['confirmed'])} "
            f"| {without['mean_episodes']:.1f} → {with_doubt['mean_episodes']:.1f} |")
    return lines


def plot(candidates, folder):
    """How many of each loss the gate accepted, and why it refused the others."""
    titles = ("accepted", "refused: worse on held-out corrections", "refused: something else")
    rows = []
    for low, high in BINS:
        inside = within(candidates, low, high)
        worse = sum(one["gate"]["reason"] == "worse_on_held_out" for one in inside)
        rows.append(f'"{bin_title(low, high)}" {accepted(inside)} {worse} '
                    f"{len(inside) - accepted(inside) - worse}")
    script = ["set terminal pngcairo size 900,420 font 'DejaVu Sans,11'",
              f"set output '{folder / 'gate-calibration.png'}'",
              'set title "What the gate says of candidates, by what they lose"',
              'set xlabel "points fewer than before"', 'set ylabel "candidates"',
              "set style data histograms", "set style histogram rowstacked",
              "set style fill solid 0.8 border -1", "set boxwidth 0.7", "set key top right",
              "set grid y", "set yrange [0:*]", "$rows << END", *rows, "END",
              "plot " + ", ".join(f"$rows using {column}:xtic(1) title '{title}'"
                                  for column, title in enumerate(titles, 2))]
    subprocess.run(["gnuplot"], input="\n".join(script) + "\n", text=True, check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=pathlib.Path)
    parser.add_argument("--page", type=pathlib.Path, help="write the tables between its two marks")
    parser.add_argument("--plots", type=pathlib.Path, help="write the plot into this folder")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    logs = {path.stem: [json.loads(line) for line in path.read_text().splitlines()]
            for path in sorted(options.results.glob("*.jsonl"))}
    logs = {name: log for name, log in logs.items() if log}
    if not logs:
        sys.exit(f"gate_report.py: no figures in {options.results}; run scripts/calibrate_gate.sh")
    if options.plots:
        plot([one for log in logs.values() for one in log], options.plots)
    lines = tables(logs)
    lived = options.results / "probation.json"
    if lived.exists():
        lines += ["", "## Probation", *probation(
            [json.loads(line) for line in lived.read_text().splitlines()])]
    if options.page:
        write_figures(options.page, lines)
    if options.json:
        print(json.dumps({name: rates(log) for name, log in logs.items()}, indent=2))
    elif not options.page:
        print("\n".join(lines))


main()
