#!/usr/bin/env python3
"""What the clients' libraries bring along: ZeroMQ, and nothing heavy.

usage: link_test.py PROGRAM LIBRARY...    a program that links them, and the archives themselves
"""

import re
import subprocess
import sys

HEAVY = re.compile(r"torch|c10|boost|sqlite|mujoco|prometheus|python", re.IGNORECASE)


def run(*words):
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def main(program, *libraries):
    wrong = []
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", run("readelf", "-d", program))
    if not any("zmq" in name for name in needed):
        wrong.append(f"{program} does not load ZeroMQ: is this the right program? {needed}")
    # Only what the program itself asks for: a library of the system brings its own.
    wrong += [f"{program} loads {name}" for name in needed if HEAVY.search(name)]
    for file in (program, *libraries):
        symbols = run("nm", "--demangle", file)
        heavy = sorted({match for match in re.findall(
            r"\b(?:boost::|torch::|at::Tensor|c10::|sqlite3_)\w*", symbols)})
        if heavy:
            wrong.append(f"{file} has {', '.join(heavy[:5])}")
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
