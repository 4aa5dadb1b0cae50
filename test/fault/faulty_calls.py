"""Commands faulty_calls.c, which makes calls on files fail, or kills, in a program under test."""

import errno
import mmap
import os
import pathlib
import shutil
import struct
import subprocess
import unittest

ALWAYS = 2**63
# A sanitizer wants to be the first library of all.
SANITIZERS = {"address,undefined": "libasan.so", "thread": "libtsan.so"}
_library = os.environ.get("NUDGE_FAULTY_CALLS", "")


def build(folder):
    """The library to preload: the one that the build made, or one of our own."""
    global _library
    if _library:
        return
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise unittest.SkipTest("there is no C compiler; name the library in NUDGE_FAULTY_CALLS")
    library = str(folder / "faulty_calls.so")
    source = pathlib.Path(__file__).resolve().parent / "faulty_calls.c"
    subprocess.run([compiler, "-O2", "-shared", "-fPIC", source, "-o", library, "-ldl"], check=True)
    sanitizer = os.environ.get("NUDGE_SANITIZE")
    if sanitizer:
        first = subprocess.run([compiler, f"-print-file-name={SANITIZERS[sanitizer]}"],
                               capture_output=True, text=True, check=True).stdout.strip()
        library = f"{first}:{library}"
    _library = library


class Plan:
    """Commands the shim in the running program."""

    def __init__(self, path):
        path.write_bytes(bytes(4096))
        with open(path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), 4096)
        self.path = path

    @property
    def calls(self):
        return struct.unpack_from("<Q", self.map, 8)[0]

    def environment(self):
        """What a program under test is started with."""
        return {"LD_PRELOAD": _library, "NUDGE_FAULT_PLAN": str(self.path)}

    @property
    def armed(self):
        return struct.unpack_from("<I", self.map, 548)[0] != 0

    def fail(self, pattern, error, first=1, last=ALWAYS, kills=False, process=0, trigger=""):
        self.end()
        struct.pack_into("<II", self.map, 0, getattr(errno, error), kills)
        struct.pack_into("<QQQ", self.map, 8, 0, first, last)
        struct.pack_into("<II", self.map, 544, process, 0)
        self.map[552:552 + len(trigger) + 1] = trigger.encode() + b"\0"
        self.map[32:32 + len(pattern) + 1] = pattern.encode() + b"\0"

    def end(self):
        self.map[32:33] = b"\0"
        struct.pack_into("<QQQ", self.map, 8, 0, 0, 0)

    def kill(self, pattern, call, **which):
        """SIGKILL just before this call."""
        self.fail(pattern, "EIO", call, call, kills=True, **which)

    def watch(self, pattern, **which):
        """Only counts."""
        self.fail(pattern, "EIO", 0, 0, **which)
