#!/usr/bin/env python3
"""Checks that every source includes only what its place in the project may include.

The rules, in one picture: the public headers know the standard library; policy/, feedback/ and
replay/ know the public headers and themselves; src/ knows all of them; foreign libraries are named
in the few places that may use them, and in no header of a module but replay/json_*.h, which only
replay's own sources include. The three modules also own no thread, no mutex, no socket and no
clock.

usage: scripts/check_layers.py [ROOT]    exits 1 and names each wrong line.
"""

import fnmatch
import pathlib
import re
import sys

MODULES = ("policy", "feedback", "replay")
SOURCES = ("include", *MODULES, "src", "test")

STANDARD = frozenset(
    """algorithm any array atomic barrier bit bitset cassert cctype cerrno cfenv cfloat charconv
    chrono cinttypes climits clocale cmath compare complex concepts condition_variable coroutine
    csetjmp csignal cstdarg cstddef cstdint cstdio cstdlib cstring ctime cuchar cwchar cwctype deque
    exception execution filesystem format forward_list fstream functional future initializer_list
    iomanip ios iosfwd iostream istream iterator latch limits list locale map memory memory_resource
    mutex new numbers numeric optional ostream queue random ranges ratio regex scoped_allocator
    semaphore set shared_mutex source_location span sstream stack stdexcept stop_token streambuf
    string string_view strstream syncstream system_error thread tuple type_traits typeindex typeinfo
    unordered_map unordered_set utility valarray variant vector version""".split())

# Foreign headers: how their names begin, and the files that may include them. Later lines of the
# table win nothing: a header belongs to the first line that fits.
FOREIGN = (
    ("torch", ("torch/", "ATen/", "c10/"), ("policy/torch_*.cc", "test/*")),
    ("boost", ("boost/",), ("src/*.cc", "src/*.h", "test/*")),
    ("sqlite", ("sqlite3",), ("replay/*.cc", "test/*")),
    ("zeromq", ("zmq",), ("src/*.cc", "src/*.h", "test/*")),
    ("json", ("nlohmann/",), ("policy/*.cc", "replay/*.cc", "replay/json_*.h", "src/ports/json_*.h",
              "src/*.cc", "test/*")),
    ("spdlog", ("spdlog/", "fmt/"), ("src/cli/*.cc",)),
    ("toml", ("toml++/",), ("src/config/*.cc",)),
    ("cli11", ("CLI/",), ("src/*.cc", "src/*.h")),
    ("sodium", ("sodium",), ("policy/*.cc", "replay/chain.cc", "src/*.cc", "test/*")),
    ("turbojpeg", ("turbojpeg",),
     ("src/sim/*", "src/datasets/*.cc", "src/ports/jpeg.cc", "test/*")),
    ("mujoco", ("mujoco/", "GL/", "EGL/"), ("src/sim/*", "test/sim/*")),
    ("prometheus", ("prometheus/",), ("src/ports/metrics.cc",)),
    ("openssl", ("openssl/",), ("src/*.cc", "src/*.h", "test/*")),
    ("qrencode", ("qrencode",), ("src/cli/qr_code.cc",)),
    ("test", ("gtest/", "gmock/", "rapidcheck", "benchmark/"), ("test/*",)),
)

# What runs in a robot's or an input device's process: the clients, and the frames they share with
# the daemon. It brings ZeroMQ and JSON along, and nothing else.
CLIENT = ("src/client/*", "src/ports/frame.*", "src/ports/*_wire.*", "src/ports/json_*.h")
KNOWN_TO_CLIENT = (*CLIENT, "src/handoff/*", "src/loop/clock.h")
NOT_IN_CLIENT = ("torch", "boost", "sqlite", "sodium", "openssl", "mujoco")

# What a module may not own. Names of headers, and of what could be used without including one.
MODULE_HEADERS = re.compile(
    r"(thread|mutex|shared_mutex|condition_variable|future|latch|barrier|semaphore|stop_token|ctime|"
    r"pthread\.h|time\.h|sys/time\.h|sys/socket\.h|sys/un\.h|netinet/.*|arpa/.*|poll\.h|sys/epoll\.h)")
MODULE_WORDS = re.compile(
    r"\b(steady_clock|system_clock|high_resolution_clock)::now\b|\bclock_gettime\b|\bgettimeofday\b|"
    r"\bstd::(jthread|thread|mutex|async|random_device)\b")

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def strip_comment(line):
    """The line without a trailing // comment. Good enough for words that no string contains."""
    return line.split("//", 1)[0]


def wrong_include(path, bracket, header):
    """Why `path` may not include `header`, or None."""
    top = path.split("/", 1)[0]
    for library, beginnings, places in FOREIGN:
        if header.startswith(beginnings):
            if library in NOT_IN_CLIENT and any(fnmatch.fnmatchcase(path, c) for c in CLIENT):
                return f"{library} is too heavy for the process of a robot or an input device"
            if any(fnmatch.fnmatchcase(path, place) for place in places):
                return None
            return f"{library} may be included only by {', '.join(places)}"
    if bracket == '"':
        first = header.split("/", 1)[0]
        if "/" not in header or ".." in header:
            return "name it from the project's root, or nudge/... for a public header"
        allowed = {"include": ("nudge",), "src": ("nudge", *MODULES, "src"),
                   "test": ("nudge", *MODULES, "src", "test")}.get(top, ("nudge", top))
        if first not in allowed:
            return f"{top}/ may include only {', '.join(name + '/' for name in allowed)}"
        if path.startswith("src/client/") and first == "src" and not any(
                fnmatch.fnmatchcase(header, place) for place in KNOWN_TO_CLIENT):
            return f"src/client/ may include of src/ only {', '.join(KNOWN_TO_CLIENT)}"
        return None
    if top == "include" and header not in STANDARD:
        return "a public header may include only nudge/ and the standard library"
    if top in MODULES and MODULE_HEADERS.fullmatch(header):
        return "policy/, feedback/ and replay/ own no thread, no mutex, no socket and no clock"
    return None


def check_text(path, text):
    """Messages about one file. `path` is relative to the root, with slashes."""
    messages = []
    module = path.split("/", 1)[0] in MODULES
    for number, line in enumerate(text.splitlines(), 1):
        found = INCLUDE.match(line)
        if found:
            reason = wrong_include(path, found[1], found[2])
            if reason:
                messages.append(f"{path}:{number}: #include {found[2]}: {reason}")
        elif module:
            word = MODULE_WORDS.search(strip_comment(line))
            if word:
                messages.append(f"{path}:{number}: {word[0]}: time, threads and randomness are "
                                "arguments here; only src/ has them")
    return messages


def check_tree(root):
    messages, count = [], 0
    for top in SOURCES:
        for file in sorted((root / top).rglob("*")):
            if file.suffix in (".h", ".cc") and file.is_file():
                count += 1
                relative = file.relative_to(root).as_posix()
                messages += check_text(relative, file.read_text(encoding="utf-8"))
    return messages, count


def main(arguments):
    if "--help" in arguments or "-h" in arguments:
        print(__doc__)
        return 0
    root = pathlib.Path(arguments[0] if arguments else pathlib.Path(__file__).parent.parent)
    messages, count = check_tree(root.resolve())
    if count == 0:
        print(f"{root}: no sources found", file=sys.stderr)
        return 66
    for message in messages:
        print(message, file=sys.stderr)
    print(f"{count} sources, {len(messages)} wrong includes")
    return 1 if messages else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
