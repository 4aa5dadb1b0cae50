#!/usr/bin/env python3
"""What learning.py measured: success against corrections and robot minutes, people's work, and each
variant's difference to what it is a variant of, beside the targets.

usage: learning_report.py RESULTS [--page docs/reference/learning-benchmark.md] [--plots docs/images]
                          [--json]

Figures are medians over seeds. A difference is of the same starts; its 95 % interval is made by
drawing seeds, and starts within each, with replacement (bootstrap, 2,000 draws, seed 1). What was
not run is left out and named on standard error.
"""

import argparse
import collections
import json
import pathlib
import random
import statistics
import subprocess
import sys

from marked_page import write_figures

DRAWS = 2000
POINTS = (0, 5, 10, 15, 20, 25)
# (case, corrected episodes, least share of successes)
TARGETS = (("state-1", 5, 0.95), ("state-1", 15, 0.98), ("cameras-1", 15, 0.98),
           ("cameras-1", 25, 0.95), ("cameras-2", 25, 0.95), ("cameras-3", 25, 0.95))
TAUGHT_MARK = "demo.tasks="


def middle_95(drawn):
    """The ends of the middle 95 % of DRAWS values."""
    ordered = sorted(drawn)
    return ordered[int(0.025 * DRAWS)], ordered[int(0.975 * DRAWS) - 1]


def interval(by_seed):
    """95 %, of the mean of what each start gives, in a list for each seed."""
    draw = random.Random(1)
    means = []
    for _ in range(DRAWS):
        seeds = draw.choices(by_seed, k=len(by_seed))
        values = [sum(draw.choices(starts, k=len(starts))) / len(starts) for starts in seeds]
        means.append(sum(values) / len(values))
    return middle_95(means)


def relative_change(hand_backs, place=""):
    """Of the error after hand-backs, or where `place` is "led_" of that before their takeovers, by
    the micro-rounds: (share, low, high); each hand-back counts by its steps. The interval is of
    hand-backs drawn with replacement. None: it was not measured there."""
    hand_backs = [one for one in hand_backs if one.get(f"{place}steps", 0) > 0]
    if not hand_backs:
        return None

    def change(chosen):
        error = lambda when: sum(one[f"{place}steps"] * one[f"{place}error_{when}"]
                                 for one in chosen)
        return error("after") / error("before") - 1

    draw = random.Random(1)
    drawn = [change(draw.choices(hand_backs, k=len(hand_backs))) for _ in range(DRAWS)]
    return change(hand_backs), *middle_95(drawn)


def difference(by_seed):
    """Of successes after less before, (mean, low, high) in points; `by_seed` holds pairs."""
    changes = [[100 * (int(after) - int(before)) for before, after in pairs]
               for pairs in by_seed if pairs]
    if not changes:
        return None
    mean = statistics.mean(statistics.mean(starts) for starts in changes)
    return (mean, *interval(changes))


class Piece:
    """All seeds of one."""

    def __init__(self):
        self.seeds = {}

    def add(self, told):
        self.seeds[told["seed"]] = told

    @property
    def any(self):
        return next(iter(self.seeds.values()))

    @property
    def campaign(self):
        return self.any["kind"] == "campaign"

    def points(self, seed):
        return self.seeds[seed]["result"]["points"]

    def at(self, seed, corrected):
        """The newest point with at most so many corrected episodes: a robot that fails too rarely
        to be corrected so often is what it was."""
        return [p for p in self.points(seed) if p["corrected_episodes"] <= corrected][-1]

    def last(self, seed):
        """Of each start, at the end."""
        result = self.seeds[seed]["result"]
        return result["success"] if "success" in result else self.points(seed)[-1]["success"]

    def share(self, seed, corrected):
        point = self.at(seed, corrected)
        return point["successes"] / point["starts"]

    def reaches(self, corrected):
        """Or ended on the way from the point before."""
        return corrected < self.most_corrected() + 5

    def most_corrected(self):
        return max(p["corrected_episodes"] for seed in self.seeds for p in self.points(seed))


def median_and_range(values, form="{:.0f}"):
    low, middle, high = min(values), statistics.median(values), max(values)
    if form.format(low) == form.format(high):
        return form.format(middle)
    return f"{form.format(middle)} ({form.format(low)} to {form.format(high)})"


def verdict(met):
    return "met" if met else "**falls short**"


class Report:
    def __init__(self, folder):
        self.pieces = collections.defaultdict(Piece)
        for file in sorted(folder.glob("*.json")):
            told = json.loads(file.read_text())
            if told["kind"] != "eyes":
                self.pieces[told["name"]].add(told)
        self.missing, self.short = [], []

    def campaigns(self, group):
        return [(name, piece) for name, piece in self.pieces.items()
                if piece.campaign and piece.any["group"] == group]

    # ---- tables -----------------------------------------------------------------------------------

    def success(self):
        header = "".join(f" after {k} |" if k else " base |" for k in POINTS)
        lines = [f"| success, % |{header} seeds |", "|---|" + "---|" * (len(POINTS) + 1)]
        for name, piece in self.campaigns("cases"):
            cells = [median_and_range([100 * piece.share(seed, k) for seed in piece.seeds])
                     if piece.reaches(k) else "" for k in POINTS]
            lines.append(f"| {piece.any['title']} | " + " | ".join(cells) + f" | {len(piece.seeds)} |")
        return lines

    def targets(self):
        lines = ["| target | measured: median | |", "|---|---|---|"]

        def row(what, measured, met):
            lines.append(f"| {what} | {measured} | {verdict(met)} |")
            if not met:
                self.short.append(what)

        for name, corrected, least in TARGETS:
            piece = self.pieces.get(name)
            what = f"at least {100 * least:.0f} % after {corrected} corrected episodes"
            if piece is None:
                self.missing.append(f"{name}: {what}")
                continue
            value = statistics.median(piece.share(seed, corrected) for seed in piece.seeds)
            row(f"{piece.any['title']}: {what}", f"{100 * value:.0f} %", value >= least)
        for name, piece in self.campaigns("cases"):
            ratio = self.halved(piece)
            if ratio is not None:
                row(f"{piece.any['title']}: human seconds an episode at least halved",
                    "none at the end" if ratio == float("inf") else f"{ratio:.1f} times fewer",
                    ratio >= 2)
        for name, piece in (*self.campaigns("again"), *self.campaigns("cases")):
            hand_backs = [one for told in piece.seeds.values() for one in told["result"]["hand_backs"]]
            if hand_backs:
                change, led = relative_change(hand_backs), relative_change(hand_backs, "led_")
                text = self.percent_text(change, f"; {len(hand_backs)} hand-backs")
                if led is not None:
                    text += f"; before their takeovers {self.percent_text(led)}"
                row(f"{piece.any['title']}: the micro-round cuts the error after the hand-back by at "
                    "least 30 %", text, change[0] <= -0.3)
        compose = self.pieces.get("compose-4")
        if compose is None:
            self.missing.append("compose-4: pairs never corrected")
        else:
            change = difference([self.others(compose, seed) for seed in compose.seeds])
            row("pairs that were never corrected gain, lower bound above 0 points",
                self.points_text(change), change[1] > 0)
        self.bounded(row, "left-only", "the task that is not corrected loses at most 2 points",
                     lambda piece, seed: self.others(piece, seed), -2)
        judged = self.pieces.get("night-judged")
        if judged is None:
            self.missing.append("night-judged: failures in the advantage form")
        else:
            change = difference([self.against(judged, seed) for seed in judged.seeds])
            row("failed demonstrations, judged step by step, beat discarding them: lower bound above "
                "0 points", self.points_text(change), change[1] > 0)
        for name in ("wrong-random", "wrong-adversarial"):
            piece = self.pieces.get(name)
            if piece is None:
                self.missing.append(f"{name}: at most 5 points")
                continue
            self.bounded(row, name, f"{piece.any['title']}: at most 5 points", self.against, -5)
        for name, piece in self.pieces.items():
            if piece.any["kind"] == "paraphrase":
                share, worst = self.told_shares(piece)
                row(f"{piece.any['title']}: at least 90 % of the instruction's own success",
                    f"{100 * share:.0f} %; the worst phrase {100 * worst:.0f} %", share >= 0.9)
        return lines

    def bounded(self, row, name, what, pairs, least):
        piece = self.pieces.get(name)
        change = piece and difference([pairs(piece, seed) for seed in piece.seeds])
        if not change:
            self.missing.append(f"{name}: {what}")
            return
        row(what, self.points_text(change), change[0] >= least)

    def work(self):
        lines = ["| | takeovers in 100 steps, first → last | human s an episode, first → last "
                 "| robot minutes | corrected episodes | minutes to run |", "|---|---|---|---|---|---|"]
        for group in ("cases", "ablations"):
            for name, piece in self.campaigns(group):
                takeovers, human, minutes, corrected, wall = [], [], [], [], []
                for seed in piece.seeds:
                    points = [p for p in piece.points(seed)[1:] if p["robot_seconds"] > 0]
                    if not points:
                        continue
                    takeovers.append([points[i]["interventions_per_100_steps"] for i in (0, -1)])
                    human.append([points[i]["human_seconds_per_episode"] for i in (0, -1)])
                    minutes.append(sum(p["robot_seconds"] for p in points) / 60)
                    corrected.append(points[-1]["corrected_episodes"])
                    wall.append(piece.seeds[seed]["wall_seconds"] / 60)
                if not minutes:
                    continue
                pair = lambda both: " → ".join(
                    f"{statistics.median(values):.2f}" for values in zip(*both))
                lines.append(f"| {piece.any['title']} | {pair(takeovers)} | {pair(human)} "
                             f"| {median_and_range(minutes, '{:.1f}')} | {median_and_range(corrected)} "
                             f"| {median_and_range(wall, '{:.1f}')} |")
        return lines

    def differences(self):
        lines = ["| compared on the same starts | success, % | difference in points (95 % interval) "
                 "| seeds |", "|---|---|---|---|"]

        def add(what, before, after, pairs):
            change = difference(pairs)
            if change:
                lines.append(f"| {what} | {median_and_range(before)} → {median_and_range(after)} "
                             f"| {self.points_text(change)} | {len(pairs)} |")

        for name, piece in self.campaigns("cases"):
            base = [100 * piece.share(seed, 0) for seed in piece.seeds]
            for k in sorted({min(5, piece.most_corrected()), piece.most_corrected()}):
                add(f"{piece.any['title']}: base → after {k} corrected", base,
                    [100 * piece.share(seed, k) for seed in piece.seeds],
                    [list(zip(piece.at(seed, 0)["success"], piece.at(seed, k)["success"]))
                     for seed in piece.seeds])
        for name, piece in self.pieces.items():
            if piece.any["group"] not in ("ablations", "nights") or not piece.any["of"]:
                continue
            both = [seed for seed in piece.seeds if self.against(piece, seed)]
            if not both:
                self.missing.append(f"{name}: beside {piece.any['of']}, at the same seed")
                continue
            own = self.pieces[piece.any["of"]]
            share = lambda starts: 100 * sum(starts) / len(starts)
            add(f"{own.any['title']} → {piece.any['title']}", [share(own.last(seed)) for seed in both],
                [share(piece.last(seed)) for seed in both], [self.against(piece, seed) for seed in both])
        for name in ("compose-4", "left-only"):
            piece = self.pieces.get(name)
            if piece is None:
                continue
            pairs = [self.others(piece, seed) for seed in piece.seeds]
            pairs = [one for one in pairs if one]
            add(f"{piece.any['title']}: tasks never corrected, base → end",
                [100 * statistics.mean(b for b, _ in one) for one in pairs],
                [100 * statistics.mean(a for _, a in one) for one in pairs], pairs)
        return lines

    # ---- figures ----------------------------------------------------------------------------------

    @staticmethod
    def points_text(change):
        return f"{change[0]:+.1f} ({change[1]:+.1f} to {change[2]:+.1f})"

    @staticmethod
    def percent_text(change, more=""):
        mean, low, high = (100 * value for value in change)
        return f"{mean:+.0f} % ({low:+.0f} to {high:+.0f}{more})"

    def against(self, piece, seed):
        """Each start with what it is a variant of, and with the variant."""
        own = self.pieces.get(piece.any["of"])
        if own is None or seed not in own.seeds:
            return []
        return list(zip(own.last(seed), piece.last(seed)))

    @staticmethod
    def others(piece, seed):
        """Starts of tasks that were not worked on: before any correction, and at the end."""
        taught = [task.strip() for setting in piece.any["settings"] if setting.startswith(TAUGHT_MARK)
                  for task in setting.removeprefix(TAUGHT_MARK).split(";")]
        result = piece.seeds[seed]["result"]
        return [(before, after) for task, before, after in
                zip(result["instructions"], result["points"][0]["success"],
                    result["points"][-1]["success"]) if task not in taught]

    @staticmethod
    def halved(piece):
        ratios = []
        for seed in piece.seeds:
            human = [p["human_seconds_per_episode"] for p in piece.points(seed)[1:]]
            if len(human) >= 2 and human[0] > 0:
                ratios.append(human[0] / human[-1] if human[-1] > 0 else float("inf"))
        return statistics.median(ratios) if ratios else None

    @staticmethod
    def told_shares(piece):
        """Of the instruction's own successes: in the mean of all phrases, and of the worst one."""
        means, worst = [], []
        for told in piece.seeds.values():
            own = max(1, sum(told["result"]["success"]))
            shares = [sum(one) / own for one in told["result"]["told"]]
            means.append(statistics.mean(shares))
            worst.append(min(shares))
        return statistics.median(means), statistics.median(worst)

    def note(self):
        runs = [told for piece in self.pieces.values() for told in piece.seeds.values()]
        load = [value for told in runs for value in told["load"]]
        seconds = sum(told["wall_seconds"] for told in runs)
        starts = sorted({told["limits"]["demo.starts"] for told in runs})
        return (f"{len(runs)} pieces by {', '.join(sorted({told['version'] for told in runs}))}, "
                f"{seconds / 3600:.1f} hours in all, on a machine of {runs[0]['cpus']} CPUs with a load of "
                f"{min(load):.1f} to {max(load):.1f}; {' or '.join(map(str, starts))} held-out starts a "
                "point. Medians over seeds, with their range. Where a run ended before so many "
                "corrected episodes, since the robot failed too rarely, its last point stands.")

    def lines(self):
        return [self.note(), "", *self.success(), "", *self.targets(), "", *self.work(), "",
                *self.differences()]

    # ---- plots ------------------------------------------------------------------------------------

    def median_curve(self, piece, of):
        """(corrected episodes, robot minutes, median of `of(point)`) where all seeds have a point."""
        curve = []
        for k in POINTS:
            points = [piece.at(seed, k) for seed in piece.seeds]
            if not piece.reaches(k):
                break
            minutes = statistics.median(
                sum(p["robot_seconds"] for p in piece.points(seed)
                    if p["corrected_episodes"] <= k) / 60 for seed in piece.seeds)
            curve.append((k, minutes, statistics.median(of(p) for p in points)))
        return curve

    def plots(self, folder):
        share = lambda p: 100 * p["successes"] / p["starts"]
        cases, ablations = self.campaigns("cases"), self.campaigns("ablations")
        beside = [(name, piece) for name, piece in cases
                  if any(one.any["of"] == name for _, one in ablations)]
        drawn = [plot(folder, *one) for one in (
            ("learning-corrections", "Success by corrected episodes", "corrected episodes", "success (%)",
             [(piece.any["title"], [(k, y) for k, _, y in self.median_curve(piece, share)])
              for _, piece in cases]),
            ("learning-minutes", "Success by the robot's time at work", "minutes", "success (%)",
             [(piece.any["title"], [(x, y) for _, x, y in self.median_curve(piece, share)])
              for _, piece in cases]),
            ("learning-takeovers", "How often people step in", "corrected episodes",
             "takeovers in 100 steps",
             [(piece.any["title"], [(k, y) for k, _, y in self.median_curve(
                 piece, lambda p: p["interventions_per_100_steps"])[1:]]) for _, piece in cases]),
            ("learning-ablations", "Variants", "corrected episodes", "success (%)",
             [(piece.any["title"], [(k, y) for k, _, y in self.median_curve(piece, share)])
              for _, piece in beside + ablations]))]
        return [name for name in drawn if name]

    def json(self):
        return {"short": self.short, "missing": self.missing,
                "pieces": {name: {"seeds": sorted(piece.seeds),
                                  "median": statistics.median(
                                      sum(piece.last(seed)) / len(piece.last(seed))
                                      for seed in piece.seeds)}
                           for name, piece in self.pieces.items()}}


def plot(folder, name, title, x_label, y_label, lines):
    lines = [(label, points) for label, points in lines if len(points) > 1]
    if not lines:
        return None
    colours, circle, square = 8, 7, 5  # gnuplot's own; what comes after them looks otherwise
    styles = [f"lc {i % colours + 1} dt {i // colours + 1} pt {circle if i < colours else square}"
              for i in range(len(lines))]
    script = [f"set terminal pngcairo size 900,{400 + 17 * len(lines)} font 'DejaVu Sans,11'",
              f"set output '{folder / (name + '.png')}'", f"set title \"{title}\"",
              f"set xlabel \"{x_label}\"", f"set ylabel \"{y_label}\"", "set yrange [0:*]", "set grid",
              "set key below maxcols 2 samplen 2",
              "plot " + ", ".join(f"'-' with linespoints lw 2 {style} title \"{label}\""
                                  for style, (label, _) in zip(styles, lines))]
    for _, points in lines:
        script += [f"{x} {y}" for x, y in points] + ["e"]
    subprocess.run(["gnuplot"], input="\n".join(script) + "\n", text=True, check=True)
    return name


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=pathlib.Path)
    parser.add_argument("--page", type=pathlib.Path, help="write the tables between its two marks")
    parser.add_argument("--plots", type=pathlib.Path, help="write the plots into this folder")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    report = Report(options.results)
    if not report.pieces:
        sys.exit(f"learning_report.py: no figures in {options.results}; run scripts/bench_learning.sh")
    lines = report.lines()
    for what in report.missing:
        print(f"learning_report.py: not measured: {what}", file=sys.stderr)
    if options.plots:
        options.plots.mkdir(parents=True, exist_ok=True)
        pictures = report.plots(options.plots)
        lines += ["", *(f"![{name}](../images/{name}.png)" for name in pictures)]
    if options.page:
        write_figures(options.page, lines)
    if options.json:
        print(json.dumps(report.json(), indent=2))
    elif not options.page:
        print("\n".join(lines))


if __name__ == "__main__":
    main()
