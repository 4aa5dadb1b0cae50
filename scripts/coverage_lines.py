#!/usr/bin/env python3
"""Lists what gcov counted: of each source of a module the share of lines that ran, and the others.

usage: coverage_lines.py BUILD MODULE...
"""

import collections
import gzip
import json
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent


def counts(build, module):
    """For each source: line to how often it ran, over all objects that hold it."""
    found = collections.defaultdict(lambda: collections.defaultdict(int))
    # Of inline functions the linker keeps the copy of one object, at times that of a test.
    objects = [data.resolve() for folder in (module, f"test/CMakeFiles/{module}_test.dir")
               for data in (build / folder).rglob("*.gcda")]
    with tempfile.TemporaryDirectory() as folder:
        for data in objects:
            subprocess.run(["gcov", "--json-format", "--object-directory", data.parent, data],
                           cwd=folder, check=True, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)
            for report in pathlib.Path(folder).glob("*.gcov.json.gz"):
                content = json.loads(gzip.decompress(report.read_bytes()))
                for file in content["files"]:
                    # Relative where a compiler cache has made them so.
                    path = pathlib.Path(content["current_working_directory"], file["file"]).resolve()
                    if path.is_relative_to(ROOT / module):
                        for line in file["lines"]:
                            found[path.relative_to(ROOT)][line["line_number"]] += line["count"]
                report.unlink()
    return found


def ranges(lines):
    """[1, 2, 3, 7] as "1-3, 7"."""
    parts = []
    for line in lines:
        if parts and parts[-1][1] + 1 == line:
            parts[-1][1] = line
        else:
            parts.append([line, line])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in parts)


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    build = pathlib.Path(sys.argv[1])
    whole = ran = 0
    for module in sys.argv[2:]:
        for source, lines in sorted(counts(build, module).items()):
            missed = sorted(line for line, count in lines.items() if count == 0)
            whole += len(lines)
            ran += len(lines) - len(missed)
            share = 100 * (len(lines) - len(missed)) / len(lines)
            print(f"{share:5.1f} %  {source}" + (f"  not: {ranges(missed)}" if missed else ""))
    if whole == 0:
        sys.exit("coverage_lines.py: no counters were found; run scripts/coverage.sh")
    print(f"{100 * ran / whole:5.1f} %  of {whole} lines")


if __name__ == "__main__":
    main()
