#!/usr/bin/env python3
"""The design's numbers beside what was measured: reads the figures that scripts/bench.sh left, takes
the median of their rounds, and writes the table, and plots of what grows with what.

usage: report.py RESULTS [--page docs/reference/benchmarks.md] [--plots docs/images] [--json]

RESULTS is a folder of NAME-ROUND.json: Google Benchmark's for NAME_bench, and what takeover.py,
live.py and growth.py give with --json. A row without figures is left out and named on standard error.
"""

import argparse
import collections
import dataclasses
import json
import pathlib
import statistics
import subprocess
import sys
from collections.abc import Callable

from marked_page import write_figures

# Signed and on disk, loaded and verified, made and warm: one after the other.
PUBLISHED = ("swap weights_path/parse1_publish2_load3:2 p50_us"
             " + swap weights_path/parse1_publish2_load3:3 p50_us"
             " + head head_load_and_warm_up real_time * 1000")


class Figures:
    """All rounds, as lists of values by "program benchmark counter"."""

    def __init__(self, folder):
        self.values = collections.defaultdict(list)
        self.context = {}
        for file in sorted(pathlib.Path(folder).glob("*-*.json")):
            program = file.stem.rsplit("-", 1)[0]
            found = json.loads(file.read_text() or "{}")
            if "benchmarks" not in found:
                self._add(program, "-", found)
                continue
            self.context |= found["context"]
            for run in found["benchmarks"]:
                if run.get("run_type", "iteration") != "iteration" or run.get("error_occurred"):
                    continue
                self._add(program, run["name"], run)

    @property
    def machine(self):
        cpus, mhz = self.context.get("num_cpus"), self.context.get("mhz_per_cpu")
        blas = self.context.get("blas_core_type")
        return (f"{cpus} CPUs of {mhz} MHz" if cpus else "") + \
            (f", OpenBLAS as on {blas}" if blas else "")

    def _add(self, program, benchmark, content):
        for key, value in content.items():
            if isinstance(value, dict):
                self._add(program, benchmark, {f"{key}.{k}": v for k, v in value.items()})
            elif isinstance(value, (int, float)) and not isinstance(value, bool):
                self.values[f"{program} {benchmark} {key}"].append(value)

    def of(self, name):
        """Values of all rounds; the benchmark may be named without what Google adds behind it.

        Of a sum, "a b c + d e f * 1000", the sums by round.
        """
        if " + " in name:
            return [sum(parts) for parts in zip(*map(self.of, name.split(" + ")))]
        if " * " in name:
            name, factor = name.split(" * ")
            return [float(factor) * value for value in self.of(name)]
        program, benchmark, counter = name.split(" ")
        found = []
        for key, values in self.values.items():
            parts = key.split(" ")
            if len(parts) != 3 or (parts[0], parts[2]) != (program, counter):
                continue
            if parts[1] == benchmark or parts[1].startswith(benchmark + "/"):
                found += values
        return found


@dataclasses.dataclass(frozen=True)
class Row:
    what: str
    target: str
    value: str  # "program benchmark counter"
    unit: str
    met: Callable[[float, float], bool]  # of the medians of value and limit
    scale: float = 1.0
    limit: str = ""  # what the machine can do at best, measured in the same run
    limit_is: str = ""
    limit_scale: float = 1.0


ROWS = [
    Row("taking new weights on the step thread, 50 swaps/s, p99", "at most 0.5 µs more than without",
        "swap acquire/swaps_per_s:50 p99_us", "µs", lambda v, b: v - b <= 0.5,
        limit="swap acquire/swaps_per_s:0 p99_us", limit_is="the same loop without swaps"),
    Row("... at worst, CPU time", "50 µs", "swap acquire/swaps_per_s:50 cpu_max_us", "µs",
        lambda v, b: v <= 50, limit="swap acquire/swaps_per_s:0 cpu_max_us",
        limit_is="the same loop without swaps"),
    Row("... with weights of two versions in one", "never", "swap acquire/swaps_per_s:50 torn", "",
        lambda v, b: v == 0),
    Row("work of a control tick at 1 kHz with a real head, recording, 50 swaps/s, p99",
        "at most 50 µs more than without", "control control_at_1_khz/50 work_p99_us", "µs",
        lambda v, b: v - b <= 50, limit="control control_at_1_khz/0 work_p99_us",
        limit_is="the same without swaps"),
    Row("... beside a process that trains and one that ingests 3,000 steps/s, two cameras recorded: p99",
        "at most 50 µs more than without", "control control_under_load/50 work_p99_us", "µs",
        lambda v, b: v - b <= 50, limit="control control_under_load/0 work_p99_us",
        limit_is="the same without swaps"),
    Row("... ticks that took more than their millisecond, CPU time", "0",
        "control control_under_load/50 over_a_period", "", lambda v, b: v == 0),
    Row("... the longest of them, CPU time", "1,000 µs", "control control_under_load/50 work_worst_us",
        "µs", lambda v, b: v <= 1000, limit="control control_under_load/0 work_worst_us",
        limit_is="the same without swaps"),
    Row("the daemon at 50 Hz, which learns, records, and shows two cameras to two viewers: ticks that "
        "took more than their 20 ms, CPU time", "0", "watched - work_us.over_a_period", "",
        lambda v, b: v == 0),
    Row("... the longest of them, CPU time, physics included", "20 ms", "watched - work_us.worst",
        "ms", lambda v, b: v <= 20, scale=1e-3),
    Row("takeover: message to the first tick without the policy, p50", "the next tick (20 ms)",
        "takeover - cut_p50_ms", "ms", lambda v, b: v <= 20),
    Row("takeover: message to the first human motion, worst", "300 ms", "takeover - motion_worst_ms",
        "ms", lambda v, b: v <= 300),
    Row("an event of feedback appended and durable, p50", "2 ms", "replay BM_DurableFeedback p50_us",
        "ms", lambda v, b: v <= 2, scale=1e-3, limit="replay BM_FloorWriteAndSync/4096 p50_us",
        limit_is="write and fdatasync of 4 kB", limit_scale=1e-3),
    Row("... p99", "10 ms", "replay BM_DurableFeedback p99_us", "ms", lambda v, b: v <= 10,
        scale=1e-3, limit="replay BM_FloorWriteAndSync/4096 p99_us",
        limit_is="write and fdatasync of 4 kB", limit_scale=1e-3),
    Row("a message to the working daemon acknowledged, p50", "2 ms", "live - ack_ms.p50", "ms",
        lambda v, b: v <= 2),
    Row("... p99", "10 ms", "live - ack_ms.p99", "ms", lambda v, b: v <= 10),
    Row("correction ended to the first action of new weights: micro-round, p50", "0.5 s",
        "live - corrections.micro.p50", "s", lambda v, b: v <= 0.5),
    Row("... full round, which begins when the episode ends, p50", "10 s",
        "live - corrections.full.p50", "s", lambda v, b: v <= 10),
    Row("a candidate of 0.9 MB from process to process, p50", "1 ms",
        "link candidate_on_the_wire p50_us", "ms", lambda v, b: v <= 1, scale=1e-3,
        limit="link bare_socket p50_us", limit_is="the same bytes through a bare Unix socket",
        limit_scale=1e-3),
    Row("gate, full probe set, the reference cached", "50 ms", "head gate_check/1 real_time", "ms",
        lambda v, b: v <= 50),
    Row("accepted bytes to weights that may run, p50", "20 ms", PUBLISHED, "ms", lambda v, b: v <= 20,
        scale=1e-3),
    Row("a chunk from the head, batch 1, five Euler steps, 0.9 MB, CPU time", "1.5 × the bare products",
        "head head_sample/64 cpu_time", "µs", lambda v, b: v <= 1.5 * b,
        limit="head bare_products_of_a_sample/64 cpu_time", limit_is="bare matrix products"),
    Row("training steps, batch 256, 0.9 MB", "220 a second", "head training_step/64/256 steps/s",
        "steps/s", lambda v, b: v >= 220, limit="head bare_products_of_a_step/64/256 real_time",
        limit_is="bare matrix products, each step"),
    Row("... beside the control loop at 1 kHz and 50 swaps/s, by CPU time", "220 a second",
        "control control_under_load/50 training_steps_per_cpu_s", "steps/s", lambda v, b: v >= 220),
    *(Row(f"a batch of 256 chunks at {size} steps, p50", "150 µs",
          f"dataset SampleBatchOf256/{number} p50_us", "µs", lambda v, b: v <= 150)
      for size, number in (("10⁴", 10_000), ("10⁵", 100_000), ("10⁶", 1_000_000),
                           ("10⁷", 10_000_000))),
    Row("memory of the learner's view, 10⁶ steps", "64 bytes a step",
        "dataset SampleBatchOf256/1000000 bytes_per_step", "bytes", lambda v, b: v <= 64),
    Row("the learner's view from nothing to a first sample, 10⁶ steps", "0.5 s", "dataset StartToFirstSample/1000000 real_time",
        "ms", lambda v, b: v <= 500),
    Row("... 5 × 10⁶ steps", "1.5 s", "dataset StartToFirstSample/5000000 real_time", "ms",
        lambda v, b: v <= 1500),
    Row("durable steps of 424 bytes, 30 a commit", "35,000 a second",
        "replay BM_DurableSteps items_per_second", "steps/s", lambda v, b: v >= 35_000,
        limit="replay BM_FloorWriteAndSync/12720 p50_us",
        limit_is="write and fdatasync of such a batch"),
    Row("... with two JPEGs of 6 kB", "5,000 a second",
        "replay BM_DurableStepsWithTwoJpegs items_per_second", "steps/s", lambda v, b: v >= 5_000,
        limit="replay BM_FloorWriteAndSync/374160 p50_us",
        limit_is="write and fdatasync of such a batch"),
]

@dataclasses.dataclass(frozen=True)
class Line:
    what: str
    points: list  # (x, name of the value); x is a number, or the name of a value too
    scale: float = 1.0
    x_scale: float = 1.0


@dataclasses.dataclass(frozen=True)
class Plot:
    file: str
    title: str
    x: str
    y: str
    lines: list
    log: str = "x"  # axes


STEPS = (10_000, 100_000, 1_000_000, 10_000_000)
WIDTHS = ((128, 70_000), (256, 230_000), (512, 860_000), (1024, 3_300_000))  # and parameters


def started(what, how="cold", sizes=(10_000, 100_000, 1_000_000, 5_000_000)):
    return [(n, f"growth - log.{n}.{how}.{what}") for n in sizes]


def watched(what):
    return [(f"growth - viewers.{n}.messages_a_second", f"growth - viewers.{n}.{what}")
            for n in (0, 1, 4, 8, 16, 32)]


def filmed(what):
    return [(f"growth - cameras.{point}.picture_bytes_a_second", f"growth - cameras.{point}.{what}")
            for point in ("0x0", "2x64", "2x128", "1x320", "2x320", "4x320", "2x640")]


def sized(what):
    return [(f"growth - head.{n}.weights_bytes", f"growth - head.{n}.{what}")
            for n in (128, 256, 512, 1024)]


PLOTS = [
    Plot("bench-growth-log", "A batch of 256 chunks, by the size of the log", "steps in the log", "µs",
         [Line("p50", [(n, f"dataset SampleBatchOf256/{n} p50_us") for n in STEPS]),
          Line("p99", [(n, f"dataset SampleBatchOf256/{n} p99_us") for n in STEPS])]),
    Plot("bench-growth-head", "A chunk from the head, by what it has to multiply", "parameters", "µs",
         [Line("head", [(n, f"head head_by_width/{h} cpu_time") for h, n in WIDTHS]),
          Line("bare products", [(n, f"head bare_products_by_width/{h} cpu_time")
                                 for h, n in WIDTHS])]),
    Plot("bench-growth-training", "A training step of 256 chunks, by the size of the head",
         "parameters", "ms",
         [Line("step", [(n, f"head training_by_width/{h} cpu_time") for h, n in WIDTHS])]),
    Plot("bench-growth-chunk", "A chunk from the head, by its length", "actions in a chunk", "µs",
         [Line("head", [(h, f"head head_by_horizon/{h} cpu_time") for h in (4, 8, 16, 32, 64)])]),
    Plot("bench-growth-start", "A start, by the size of the log", "million steps in the log",
         "CPU seconds",
         [Line("daemon to its first action, files not in memory", started("cpu_s"), x_scale=1e-6),
          Line("daemon to its first action", started("cpu_s", "warm"), x_scale=1e-6),
          Line("learner until it has folded the log", started("learner.cpu_s", "warm"),
               x_scale=1e-6)], ""),
    Plot("bench-growth-log-memory", "Memory of its own, by the size of the log",
         "million steps in the log", "MiB",
         [Line("daemon", started("own_mib", "warm"), x_scale=1e-6),
          Line("learner", started("learner.own_mib", "warm"), x_scale=1e-6)], ""),
    Plot("bench-growth-viewers", "What viewers cost: 0, 1, 4, 8, 16 and 32, each with two cameras",
         "statuses and pictures a second that they got", "CPU seconds a minute",
         [Line("the daemon", watched("cpu_s_a_minute.all")),
          Line("its io thread", watched("cpu_s_a_minute.io")),
          Line("its step thread", watched("cpu_s_a_minute.step"))], ""),
    Plot("bench-growth-cameras", "What cameras cost, shown to one viewer and recorded",
         "MB of pictures a second", "CPU seconds a minute",
         [Line("the daemon", filmed("cpu_s_a_minute.all"), x_scale=1e-6),
          Line("its io thread", filmed("cpu_s_a_minute.io"), x_scale=1e-6),
          Line("its writer thread", filmed("cpu_s_a_minute.writer"), x_scale=1e-6),
          Line("its step thread", filmed("cpu_s_a_minute.step"), x_scale=1e-6)], ""),
    Plot("bench-growth-head-memory", "Memory of its own, by the size of the head", "MB of weights",
         "MiB", [Line("daemon", sized("own_mib"), x_scale=1e-6),
                 Line("learner", sized("learner.own_mib"), x_scale=1e-6)], ""),
]


def others(figures):
    """What stands in no row: a line for each benchmark, with all that it counted."""
    in_rows = {" ".join(name.split(" ")[:2]) for row in ROWS
               for sum_ in (row.value, row.limit) for name in sum_.split(" + ") if name}
    dull = {"family_index", "per_family_instance_index", "repetitions", "repetition_index", "threads",
            "iterations", "cpu_time"}
    lines = collections.defaultdict(list)
    for key, values in figures.values.items():
        program, benchmark, counter = key.split(" ")
        told = any(f"{program} {benchmark}/".startswith(f"{name}/") for name in in_rows)
        if counter not in dull and (benchmark == "-" or not told):
            lines[f"{program} {benchmark}"].append(f"{counter} {number(statistics.median(values))}")
    return [f"{name}: {', '.join(counters)}" for name, counters in sorted(lines.items())]


def number(value):
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def measured(values, scale, unit):
    values = [scale * value for value in values]
    middle = number(statistics.median(values))
    low, high = number(min(values)), number(max(values))
    spread = f" ({low} to {high})" if low != high else ""
    return f"{middle}{spread} {unit}".strip()


def table(figures):
    lines = ["| what | target | measured: median (range) | the limit in the same run | |",
             "|---|---|---|---|---|"]
    missing, short = [], []
    for row in ROWS:
        values, limits = figures.of(row.value), figures.of(row.limit) if row.limit else []
        if not values:
            missing.append(row.what)
            continue
        value = row.scale * statistics.median(values)
        limit = row.limit_scale * statistics.median(limits) if limits else float("nan")
        met = row.met(value, limit)
        if not met:
            short.append(row.what)
        unit = "µs" if row.limit.endswith(("p50_us", "real_time")) and row.unit == "steps/s" else row.unit
        beside = f"{measured(limits, row.limit_scale, unit)}: {row.limit_is}" if limits else ""
        lines.append(f"| {row.what} | {row.target} | {measured(values, row.scale, row.unit)} | {beside} "
                     f"| {'' if not row.target else 'met' if met else '**falls short**'} |")
    return lines, missing, short


def plot(figures, folder, wanted):
    def at(x):
        if not isinstance(x, str):
            return x
        return statistics.median(figures.of(x)) if figures.of(x) else None
    drawn = []
    for line in wanted.lines:
        found = sorted((line.x_scale * at(x), line.scale * statistics.median(figures.of(value)))
                       for x, value in line.points if figures.of(value) and at(x) is not None)
        if len(found) > 1:
            drawn.append((line.what, found))
    if not drawn:
        return False
    script = ["set terminal pngcairo size 900,420 font 'DejaVu Sans,11'",
              f"set output '{folder / (wanted.file + '.png')}'", f"set title \"{wanted.title}\"",
              f"set xlabel \"{wanted.x}\"", f"set ylabel \"{wanted.y}\"", "set grid",
              "set key left top"]
    script += [f"set logscale {wanted.log}"] if wanted.log else []
    script += ["set format x \"%.0s%c\""] if "x" in wanted.log else ["set xrange [0:*]"]
    script += [] if "y" in wanted.log else ["set yrange [0:*]"]
    script += ["plot " + ", ".join(f"'-' with linespoints lw 2 pt 7 title \"{label}\""
                                   for label, _ in drawn)]
    for _, found in drawn:
        script += [f"{x} {y}" for x, y in found] + ["e"]
    subprocess.run(["gnuplot"], input="\n".join(script) + "\n", text=True, check=True)
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=pathlib.Path)
    parser.add_argument("--page", type=pathlib.Path, help="write the table between its two marks")
    parser.add_argument("--plots", type=pathlib.Path, help="write the plots into this folder")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = Figures(options.results)
    if not figures.values:
        sys.exit(f"report.py: no figures in {options.results}; run scripts/bench.sh")
    rounds = len(list(options.results.glob("replay-*.json"))) or 1
    lines, missing, short = table(figures)
    for what in missing if len(missing) < len(ROWS) else ():  # those of growth have no rows
        print(f"report.py: not measured: {what}", file=sys.stderr)
    if options.page:
        note = (f"Medians of {rounds} rounds, all programs one after the other in each; "
                f"{figures.machine}.")
        write_figures(options.page, [note, "", *lines])
    if options.plots:
        for wanted in PLOTS:
            if plot(figures, options.plots, wanted):
                print(f"report.py: {options.plots / wanted.file}.png", file=sys.stderr)
    if options.json:
        print(json.dumps({"rounds": rounds, "machine": figures.machine, "short": short, "missing": missing,
                          "figures": {name: {"median": statistics.median(values), "low": min(values),
                                             "high": max(values), "rounds": len(values)}
                                      for name, values in sorted(figures.values.items())}}, indent=2))
    elif not options.page and not options.plots:
        print("\n".join([*lines, "", *others(figures)]))


if __name__ == "__main__":
    main()
