#!/usr/bin/env python3
"""The learning benchmark's quick form runs, goes on where it was, and its report is well formed. What
the figures are is nobody's to assert: a machine under load learns less.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent


class Quick(unittest.TestCase):
    def run_script(self, name, *arguments):
        done = subprocess.run([sys.executable, HERE / name, *map(str, arguments)], text=True,
                              capture_output=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def test_the_pieces_run_once_and_make_a_report(self):
        with tempfile.TemporaryDirectory() as name:
            results, page = pathlib.Path(name) / "results", pathlib.Path(name) / "page.md"
            results.mkdir()
            run = (os.environ["NUDGE_PROGRAM"], results, "--quick")
            self.run_script("learning.py", *run)
            files = {file.name: file.read_bytes() for file in results.glob("*.json")}
            self.assertEqual(sorted(files), ["hg-dagger-1.json", "state-1-1.json"])
            for content in files.values():
                told = json.loads(content)
                self.assertEqual(told["cpus"], os.cpu_count())
                for point in told["result"]["points"]:
                    self.assertEqual(len(point["success"]), point["starts"])
                    self.assertEqual(sum(point["success"]), point["successes"])
                self.assertEqual(len(told["result"]["instructions"]), point["starts"])

            self.assertEqual(self.run_script("learning.py", *run).stderr, "", "nothing is run again")
            self.assertEqual({f.name: f.read_bytes() for f in results.glob("*.json")}, files)

            page.write_text("before\n<!-- figures: begin -->\n<!-- figures: end -->\nafter\n")
            plots = pathlib.Path(name) / "plots"
            report = self.run_script("learning_report.py", results, "--page", page, "--plots", plots,
                                     "--json")
            text = page.read_text()
            for row in ("| level 1 from state | ", "| level 1 from state: base → after ",
                        "| level 1 from state → HG-DAgger without weights |"):
                self.assertIn(row, text)
            self.assertTrue((plots / "learning-corrections.png").stat().st_size > 0)
            self.assertEqual(set(json.loads(report.stdout)["pieces"]), {"state-1", "hg-dagger"})


if __name__ == "__main__":
    unittest.main()
