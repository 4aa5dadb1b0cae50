#!/usr/bin/env python3
"""Where the time goes, as a picture: a flame graph (Gregg, "The flame graph", 2016) of what perf saw.

usage: perf record -F 250 -e cpu-clock --call-graph dwarf -o perf.data build/release/nudge ...
       perf script --no-inline -i perf.data -F comm,pid,tid,ip,sym | flame.py [--of TEXT] [--title TEXT] >out.svg

A box is a function, as wide as the share of the samples in which it or what it called ran, on top
of what called it. --of keeps the samples whose first line has this word: a thread's name, a process.
"""

import argparse
import html
import re
import sys

WIDTH, ROW, LETTER = 1000, 17, 6.3  # pixels; of a letter on average
LEAST = 1.5  # pixels; narrower boxes are left out


def stacks(lines, of):
    """The functions of each sample, the outermost first."""
    frames = None
    for line in lines:
        if not line.strip():
            if frames:
                yield frames[::-1]
            frames = None
        elif frames is None:
            # NAME PID/TID of the sample that begins.
            frames = [] if of in line.replace("/", " ").split() or not of else ()
        elif isinstance(frames, list) and (found := re.match(r"\s+[0-9a-f]+ (.+)", line)):
            frames.append(short(found[1].strip()))
    if frames:
        yield frames[::-1]


def short(name):
    """Without arguments of templates and functions."""
    name = name.replace("(anonymous namespace)::", "").replace("operator<", "operator_lt")
    while (less := re.sub(r"<[^<>]*>", "", name)) != name:
        name = less
    return re.sub(r"\(.*", "", name).replace("[abi:cxx11]", "") or "?"


class Box:
    def __init__(self):
        self.samples, self.above = 0, {}

    def add(self, frames):
        box = self
        box.samples += 1
        for frame in frames:
            box = box.above.setdefault(frame, Box())
            box.samples += 1

    def height(self, least):
        return 1 + max((b.height(least) for b in self.above.values() if b.samples >= least),
                       default=0)


def draw(box, name, x, level, top, scale, out):
    width = box.samples * scale
    y = (top - level) * ROW + 30
    hue = 10 + sum(name.encode()) % 45
    letters = int((width - 4) / LETTER)
    text = name if len(name) <= letters else name[:letters - 1] + "…" if letters > 3 else ""
    share = 100 * box.samples * scale / WIDTH
    out.append(f'<g><title>{html.escape(name)}: {share:.1f} %</title><rect x="{x:.1f}" y="{y}" '
               f'width="{max(width - 0.5, 0.5):.1f}" height="{ROW - 1}" fill="hsl({hue},80%,72%)"/>'
               f'<text x="{x + 2:.1f}" y="{y + 12}">{html.escape(text)}</text></g>')
    for above, content in sorted(box.above.items()):
        if content.samples * scale >= LEAST:
            draw(content, above, x, level + 1, top, scale, out)
        x += content.samples * scale


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--of", default="")
    parser.add_argument("--title", default="")
    options = parser.parse_args()
    whole = Box()
    for frames in stacks(sys.stdin, options.of):
        whole.add(frames)
    if not whole.samples:
        sys.exit("flame.py: there are no such samples")
    scale = WIDTH / whole.samples
    top = whole.height(LEAST / scale) - 1
    out = []
    draw(whole, f"all {whole.samples} samples", 0, 0, top, scale, out)
    print(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {(top + 1) * ROW + 36}" '
          f'font-family="DejaVu Sans,sans-serif" font-size="11"><rect width="100%" height="100%" '
          f'fill="white"/><text x="4" y="18" font-size="13">{html.escape(options.title)}</text>')
    print("\n".join(out) + "\n</svg>")


if __name__ == "__main__":
    main()
