#!/usr/bin/env python3
"""Takes away, one at a time, what keeps the robot from moving when it must not, and sees whether a
test notices.

Derived from the sources of feedback/ as they are: each condition of an `if`, each condition that is
returned, stored or assigned. Its mutations are
  false     the whole condition never holds: the guard is gone
  operand   one operand of && or || is left out
  boundary  < for <=, > for >= and the other way round
All are compiled into one program, each behind a switch; then the tests of feedback/ run once for
each switch. A mutation that no test notices survives, unless test/mutation/equivalent.txt says why it
changes nothing.

usage: scripts/mutation.py [--list] [--only TEXT]... [--json FILE] [--folder FOLDER] [--jobs N]
  --list          name the mutations, and run nothing
  --only TEXT     only mutations whose name contains TEXT; several: any of them
  --json FILE     write what became of each mutation
  --folder FOLDER where to build; by default a temporary folder
  --jobs N        processes at a time; by default one per processor
exits 0 when all are noticed, 1 when one survives or an entry of equivalent.txt fits no mutation or
does not survive, 2 when the sources or their tests cannot be built or fail as they are
"""

import argparse
import concurrent.futures
import dataclasses
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
SOURCES = ("feedback/authority.cc", "feedback/limits.cc", "feedback/broker.cc")
EQUIVALENT = "test/mutation/equivalent.txt"
# Slow tests last: most mutations are noticed before them.
LAST = ("authority_allocation_test.cc", "authority_property_test.cc")

BOUNDARY = {"<": "<=", "<=": "<", ">": ">=", ">=": ">"}
# clang-format puts spaces around operators, and none around the brackets of templates.
RELATION = re.compile(r"(?<= )(<=|>=|<|>)(?=\s)")
LOGIC = re.compile(r"(?<= )(&&|\|\||<=|>=|<|>|==|!=)(?=\s)")
SWITCH = "nudge_mutation"


def masked(text):
    """The same length, with comments and what is quoted blanked out."""
    quoted = r'"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\''
    return re.sub(rf"//[^\n]*|/\*.*?\*/|{quoted}",
                  lambda found: re.sub(r"[^\n]", " ", found[0]), text, flags=re.DOTALL)


def closing(text, at):
    """Of the bracket at `at`; `text` is masked."""
    depth = 0
    for i in range(at, len(text)):
        if text[i] in "([{":
            depth += 1
        elif text[i] in ")]}":
            depth -= 1
            if depth == 0:
                return i
    raise ValueError("a bracket is not closed")


def statement_end(text, at):
    depth = 0
    for i in range(at, len(text)):
        if text[i] in "([{":
            depth += 1
        elif text[i] in ")]}":
            depth -= 1
        elif text[i] == ";" and depth == 0:
            return i
        if depth < 0:
            return None
    return None


@dataclasses.dataclass
class Condition:
    begin: int
    end: int
    kind: str  # "if", "declared" (in an if), "value"
    function: str
    inner: list = dataclasses.field(default_factory=list)
    mutations: list = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Mutation:
    name: str
    line: int
    text: str  # of the whole condition, mutated
    number: int = 0
    result: str = ""  # killed, survived, equivalent
    by: str = ""


class Source:
    def __init__(self, path, text):
        self.path, self.text, self.mask = path, text, masked(text)
        self.functions = self.find_functions()
        self.conditions = self.find_conditions()
        self.names = {}
        for condition in self.conditions:
            self.mutate(condition)
        self.roots = self.nest()

    def find_functions(self):
        """(begin, name) of what is defined at the left margin."""
        found = []
        for start in re.finditer(r"^[A-Za-z][^;{}=]*?([\w:~]+)\(", self.mask, re.MULTILINE):
            found.append((start.start(), start[1]))
        return found

    def function_at(self, at):
        name = ""
        for begin, candidate in self.functions:
            if begin > at:
                break
            name = candidate
        return name

    def add(self, found, begin, end, kind):
        while begin < end and self.text[begin].isspace():
            begin += 1
        if begin < end:
            found.append(Condition(begin, end, kind, self.function_at(begin)))

    def find_conditions(self):
        mask, found = self.mask, []
        for start in re.finditer(r"\bif \(", mask):
            begin, end = start.end(), closing(mask, start.end() - 1)
            depth = 0
            for i in range(begin, end):
                depth += (mask[i] in "([{") - (mask[i] in ")]}")
                if depth == 0 and mask[i] == ";":
                    begin = i + 1  # behind what is declared first
            declared = re.match(r"\s*(?:const )?[\w:<>]+[\w:<>, \*&]* [\*&]?\w+ = ", mask[begin:end])
            if declared:
                self.add(found, begin + declared.end(), end, "declared")
            else:
                self.add(found, begin, end, "if")
        values = [m.end() for m in re.finditer(r"\breturn (?=[^;{])", mask)]
        values += [m.end() for m in re.finditer(r"^ +(?:const bool |bool )?[\w\.\->\[\]]+ =\s", mask,
                                                re.MULTILINE)]
        for begin in values:
            end = statement_end(mask, begin)
            if end is not None and mask[begin] != "[":
                self.add(found, begin, end, "value")
        return sorted(found, key=lambda c: (c.begin, -c.end))

    def nest(self):
        roots, open_ones = [], []
        for condition in self.conditions:
            while open_ones and open_ones[-1].end <= condition.begin:
                open_ones.pop()
            (open_ones[-1].inner if open_ones else roots).append(condition)
            open_ones.append(condition)
        return roots

    def mine(self, condition, at):
        """Whether a place belongs to the condition, and to none inside it."""
        return not any(other is not condition and condition.begin <= other.begin and
                       other.end <= condition.end and other.begin <= at < other.end
                       for other in self.conditions)

    def operands(self, begin, end):
        """(begin, end, neutral) of each operand of && and ||, from the outside in."""
        while begin < end and self.text[begin].isspace():
            begin += 1
        while end > begin and self.text[end - 1].isspace():
            end -= 1
        for operator, neutral in ((" ||", "false"), (" &&", "true")):
            cuts, depth = [], 0
            for i in range(begin, end):
                depth += (self.mask[i] in "([{") - (self.mask[i] in ")]}")
                if depth == 0 and self.mask.startswith(operator, i):
                    cuts.append(i)
            if not cuts:
                continue
            edges = [begin, *(i for cut in cuts for i in (cut, cut + 3)), end]
            for a, b in zip(edges[::2], edges[1::2]):
                while self.text[a].isspace():
                    a += 1
                yield a, b, neutral
                yield from self.operands(a, b)
            return
        if self.text.startswith("!(", begin):
            begin += 1
        if self.mask[begin] == "(" and closing(self.mask, begin) == end - 1:
            yield from self.operands(begin + 1, end - 1)

    def mutate(self, condition):
        begin, end = condition.begin, condition.end
        text, mask = self.text[begin:end], self.mask[begin:end]

        def add(kind, text, what):
            name = f"{self.path} {condition.function}: {kind}: {what}"
            self.names[name] = self.names.get(name, 0) + 1
            if self.names[name] > 1:
                name += f" #{self.names[name]}"
            line = self.text.count("\n", 0, begin) + 1
            condition.mutations.append(Mutation(name, line, text))

        def short(a, b):
            return re.sub(r"\s+", " ", re.sub(r"//[^\n]*", "", self.text[a:b])).strip()

        if condition.kind == "declared":
            add("false", "", short(begin, end))
            return
        chooses = re.search(r"\s\?\s", mask) is not None
        logical = condition.kind == "if" or (LOGIC.search(mask) and not chooses)
        # A value may be anything; only what is certainly a truth is replaced by one.
        if condition.kind == "value":
            depth, outer = 0, ""
            for c in mask:
                depth -= c in ")]}"
                outer += c if depth == 0 else " "
                depth += c in "([{"
            logical = logical and LOGIC.search(outer)
        if logical:
            add("false", "false", short(begin, end))
            for a, b, neutral in self.operands(begin, end):
                add("operand", self.text[begin:a] + neutral + self.text[b:end],
                    f"{short(a, b)} -> {neutral} in {short(begin, end)}")
        for found in RELATION.finditer(mask):
            at = begin + found.start()
            if not self.mine(condition, at):
                continue
            other = BOUNDARY[found[1]]
            a, b = self.around(begin, end, at)
            add("boundary", self.text[begin:at] + other + self.text[at + len(found[1]):end],
                f"{short(a, at)} {other} {short(at + len(found[1]), b)}")

    def around(self, begin, end, at):
        """The comparison at `at`, as far as its operands go."""
        a, depth = at, 0
        while a > begin:
            c = self.mask[a - 1]
            depth += (c in ")]}") - (c in "([{")
            if depth < 0 or (depth == 0 and (c in ",;?" or self.mask[a - 2:a] in ("&&", "||"))):
                break
            a -= 1
        b, depth = at, 0
        while b < end:
            c = self.mask[b]
            depth += (c in "([{") - (c in ")]}")
            if depth < 0 or (depth == 0 and (c in ",;?" or self.mask[b:b + 2] in ("&&", "||"))):
                break
            b += 1
        return a, b

    def switched(self):
        """The text with all numbered mutations behind their switches."""
        out, at = [], 0
        for condition in self.roots:
            out += [self.text[at:condition.begin], self.emit(condition)]
            at = condition.end
        return "".join(out) + self.text[at:]

    def emit(self, condition):
        out, at = [], condition.begin
        for inner in condition.inner:
            out += [self.text[at:inner.begin], self.emit(inner)]
            at = inner.end
        original = "".join(out) + self.text[at:condition.end]
        mutations = [m for m in condition.mutations if m.number]
        if not mutations:
            return original
        if condition.kind == "declared":
            return f"::{SWITCH}::none_if({mutations[0].number}, {original})"
        kept = f"static_cast<bool>({original}\n)" if condition.kind == "if" else f"({original}\n)"
        text = "".join(f"::{SWITCH}::on == {m.number} ? ({m.text}\n) : " for m in mutations)
        return f"({text}{kept})"


def read_equivalent(text):
    """{name of a mutation: reason}: a name in a line, its reason in the indented ones below."""
    found, name = {}, None
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith("  ") and name is not None:
            found[name] = (found[name] + " " + line.strip()).strip()
        elif line.startswith(" "):
            raise ValueError(f"{EQUIVALENT}:{number}: a reason without a mutation")
        elif line in found:
            raise ValueError(f"{EQUIVALENT}:{number}: named twice")
        else:
            name = line
            found[name] = ""
    for name, reason in found.items():
        if not reason:
            raise ValueError(f"{EQUIVALENT}: no reason is given for: {name}")
    return found


HEADER = f"""#pragma once
#include <type_traits>
namespace {SWITCH} {{
extern const int on;
template <typename T>
std::decay_t<T> none_if(int number, T&& value) {{
  if (on == number) return std::decay_t<T>{{}};
  return static_cast<T&&>(value);
}}
}}
"""
SWITCH_SOURCE = f"""#include "{SWITCH}.h"
#include <cstdlib>
namespace {SWITCH} {{
const int on = std::getenv("NUDGE_MUTATION") ? std::atoi(std::getenv("NUDGE_MUTATION")) : 0;
}}
"""


class Broken(Exception):
    pass


class Program:
    """The tests of feedback/, with all mutations in them."""

    def __init__(self, folder, jobs):
        self.folder, self.jobs = folder, jobs
        self.path = folder / "feedback_mutated"

    def build(self, sources):
        for name in ("feedback", "include", "src/core", "test/feedback"):
            shutil.copytree(ROOT / name, self.folder / name, dirs_exist_ok=True)
        (self.folder / f"{SWITCH}.h").write_text(HEADER)
        (self.folder / f"{SWITCH}.cc").write_text(SWITCH_SOURCE)
        for source in sources:
            (self.folder / source.path).write_text(f'#include "{SWITCH}.h"\n' + source.switched())
        tests = sorted((self.folder / "test/feedback").glob("*_test.cc"),
                       key=lambda path: (path.name in LAST, path.name))
        units = [self.folder / f"{SWITCH}.cc", *tests,
                 *sorted((self.folder / "feedback").glob("*.cc")),
                 *sorted((self.folder / "src/core").glob("*.cc"))]
        with concurrent.futures.ThreadPoolExecutor(self.jobs) as pool:
            objects = list(pool.map(self.compile, units))
        self.tool(*objects, "-o", self.path, "-lgtest", "-lgtest_main", "-lpthread")

    def compile(self, unit):
        target = unit.with_suffix(".o")
        self.tool("-std=c++20", "-O1", "-D_GLIBCXX_ASSERTIONS", f"-I{self.folder}",
                  f"-I{self.folder}/include", f'-DNUDGE_TEST_DATA="{ROOT}/test/data"', "-c", unit,
                  "-o", target)
        return target

    def tool(self, *arguments):
        done = subprocess.run([*os.environ.get("CXX", "c++").split(), *map(str, arguments)],
                              text=True, capture_output=True)
        if done.returncode != 0:
            raise Broken(done.stderr[:4000])

    def run(self, number, patience):
        """The first test that notices, or an empty text."""
        try:
            done = subprocess.run([self.path, "--gtest_fail_fast", "--gtest_color=no"], text=True,
                                  capture_output=True, timeout=patience, errors="replace",
                                  env={**os.environ, "NUDGE_MUTATION": str(number)})
        except subprocess.TimeoutExpired as late:
            output = (late.stdout or b"").decode(errors="replace")
            return self.newest(output) + " (does not end)"
        if done.returncode == 0:
            return ""
        failed = re.search(r"^\[  FAILED  \] ([\w/]+\.[\w/]+)", done.stdout, re.MULTILINE)
        return failed[1] if failed else self.newest(done.stdout) + " (dies)"

    @staticmethod
    def newest(output):
        begun = re.findall(r"^\[ RUN      \] (\S+)", output, re.MULTILINE)
        return begun[-1] if begun else "the program"


def main(arguments):
    parser = argparse.ArgumentParser(usage=argparse.SUPPRESS, add_help=False)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--folder", type=pathlib.Path)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--help", action="store_true")
    options = parser.parse_args(arguments)
    if options.help:
        print(__doc__.strip())
        return 0

    sources = [Source(path, (ROOT / path).read_text("utf-8")) for path in SOURCES]
    every = [m for source in sources for c in source.conditions for m in c.mutations]
    try:
        equivalent = read_equivalent((ROOT / EQUIVALENT).read_text("utf-8"))
    except ValueError as wrong:
        print(wrong, file=sys.stderr)
        return 1
    unknown = sorted(set(equivalent) - {m.name for m in every})
    for name in unknown:
        print(f"{EQUIVALENT} names what is no mutation (any more): {name}", file=sys.stderr)
    wanted = [m for m in every if not options.only or any(o in m.name for o in options.only)]
    if options.list:
        for mutation in wanted:
            print(mutation.name)
        return 1 if unknown else 0
    if not wanted:
        print("no mutation has such a name; --list shows all", file=sys.stderr)
        return 1
    for number, mutation in enumerate(wanted, 1):
        mutation.number = number

    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or pathlib.Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        program = Program(folder, options.jobs)
        began = time.monotonic()
        try:
            program.build(sources)
        except Broken as broken:
            print(f"cannot build: {broken}", file=sys.stderr)
            return 2
        built = time.monotonic()
        if failed := program.run(0, 600):
            print(f"the tests fail without any mutation: {failed}", file=sys.stderr)
            return 2
        patience = max(60, 20 * (time.monotonic() - built))
        print(f"{len(wanted)} mutations in one program, built in {built - began:.0f} s", flush=True)
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            for mutation, by in zip(wanted, pool.map(lambda m: program.run(m.number, patience),
                                                     wanted)):
                mutation.by = by
                if by:
                    mutation.result = "killed"
                else:
                    mutation.result = "equivalent" if mutation.name in equivalent else "survived"
                path, rest = mutation.name.split(" ", 1)
                print(f"{mutation.result:10} {path}:{mutation.line} {rest}" +
                      (f"  [{by}]" if by else ""), flush=True)

    wrong = [m for m in wanted if m.by and m.name in equivalent]
    for mutation in wrong:
        print(f"{EQUIVALENT} is wrong: {mutation.by} notices: {mutation.name}", file=sys.stderr)
    count = {r: sum(m.result == r for m in wanted) for r in ("killed", "survived", "equivalent")}
    print(", ".join(f"{number} {result}" for result, number in count.items()))
    if options.json:
        options.json.write_text(json.dumps(
            {"count": count,
             "mutations": [{"name": m.name, "line": m.line, "result": m.result, "by": m.by,
                            "why": equivalent.get(m.name, "")} for m in wanted]}, indent=1) + "\n")
    return 1 if count["survived"] or unknown or wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
