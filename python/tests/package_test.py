#!/usr/bin/env python3
"""The package as it is installed: what it needs, what it says of itself."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import unittest

import support
from support import ROOT

import nudge

ASK = """
import json, sys
before = set(sys.modules)
import nudge, nudge.gymnasium, nudge.lerobot
print(json.dumps(sorted({name.split(".")[0] for name in set(sys.modules) - before})))
"""


class Package(unittest.TestCase):
    def test_it_needs_numpy_and_zeromq_and_nothing_else(self) -> None:
        done = subprocess.run(
            [sys.executable, "-c", ASK],
            cwd=ROOT / "python" / "src",
            capture_output=True,
            text=True,
            check=True,
        )
        loaded = set(json.loads(done.stdout)) - set(sys.stdlib_module_names)
        ours = {name for name in loaded if not name.startswith("_")} - {"nudge", "numpy", "zmq"}
        # What comes with these, or with the interpreter.
        self.assertLessEqual(ours, {"cython_runtime", "mkl", "backports_abc", "tornado", "gevent"})

    def test_it_has_the_programs_version(self) -> None:
        cmake = (ROOT / "CMakeLists.txt").read_text()
        version = re.search(r"project\(nudge VERSION (\S+)", cmake)
        project = (ROOT / "python" / "pyproject.toml").read_text()
        assert version is not None
        self.assertEqual(nudge.__version__, version[1])
        self.assertIn(f'version = "{version[1]}"', project)

    def test_all_of_its_names_exist(self) -> None:
        for name in nudge.__all__:
            self.assertTrue(hasattr(nudge, name), name)

    def test_it_says_that_it_is_typed(self) -> None:
        self.assertTrue((ROOT / "python" / "src" / "nudge" / "py.typed").exists())


if __name__ == "__main__":
    support.main()
