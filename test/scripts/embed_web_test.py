#!/usr/bin/env python3
"""What cmake/embed_web.py makes of a folder."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parent.parent.parent / "cmake" / "embed_web.py"


class EmbedWeb(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name) / "built"
        self.folder.mkdir()
        self.output = pathlib.Path(temporary.name) / "made" / "web_files.cc"

    def embed(self, *arguments):
        return subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True,
                              timeout=60)

    def test_files_are_named_by_their_request_and_sorted(self):
        (self.folder / "page.js").write_bytes(b"\x00\xff")
        (self.folder / "index.html").write_text("<p>")
        self.assertEqual(self.embed(self.folder, self.output).returncode, 0)
        made = self.output.read_text()
        self.assertLess(made.index('{"/index.html", "text/html'), made.index('{"/page.js", "text/javascript'))
        self.assertIn("0,255,", made)

    def test_the_same_bytes_give_the_same_source(self):
        (self.folder / "index.html").write_text("<p>")
        self.embed(self.folder, self.output)
        first = self.output.read_bytes()
        self.embed(self.folder, self.output)
        self.assertEqual(first, self.output.read_bytes())

    def test_without_a_folder_the_list_is_empty(self):
        self.assertEqual(self.embed(self.output).returncode, 0)
        self.assertIn("return {};", self.output.read_text())

    def test_a_folder_without_a_page_is_refused(self):
        (self.folder / "page.js").write_text("1")
        result = self.embed(self.folder, self.output)
        self.assertEqual(result.returncode, 1)
        self.assertIn("no index.html", result.stderr)

    def test_a_file_of_unknown_type_is_refused(self):
        (self.folder / "index.html").write_text("<p>")
        (self.folder / "data.bin").write_text("1")
        self.assertIn("no content type", self.embed(self.folder, self.output).stderr)


if __name__ == "__main__":
    unittest.main()
