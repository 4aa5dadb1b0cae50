#!/usr/bin/env python3
"""What the documentation promises: its links lead somewhere, its commands exist.

Commands are checked against the program's own --help when NUDGE_BINARY names it.
"""

import functools
import os
import pathlib
import re
import shlex
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PAGES = sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").rglob("*.md"))
BINARY = os.environ.get("NUDGE_BINARY")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
# A heading's anchor: an explicit answer to what the hosting sites make of it.
NOT_IN_ANCHORS = re.compile(r"[^\w\- ]")


def name(page):
    return str(page.relative_to(ROOT))


def prose(page):
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors(page):
    found = set()
    for heading in re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        anchor = NOT_IN_ANCHORS.sub("", text).replace(" ", "-")
        copy = anchor
        number = 0
        while copy in found:
            number += 1
            copy = f"{anchor}-{number}"
        found.add(copy)
    return found


def links(page):
    text = re.sub(r"`[^`\n]*`", "", prose(page))
    return re.findall(r"\]\(([^)\s]+)\)", text)


def broken_links(page):
    wrong = []
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or ROOT not in (target, *target.parents):
            wrong.append(link)
        elif anchor and (target.suffix != ".md" or anchor not in anchors(target)):
            wrong.append(link)
    return wrong


def commands(page):
    """Words behind "nudge" wherever a page writes a command: a line of a fence, or inline code."""
    text = page.read_text(encoding="utf-8")
    lines = [line for fence in FENCE.findall(text) for line in fence.splitlines()]
    lines += re.findall(r"`([^`\n]+)`", FENCE.sub("", text))
    found = []
    for line in lines:
        match = re.match(r"(?:\$ )?(?:\S*/)?nudge ((?:[a-z]|-).*)", line)
        if match:
            try:
                found.append(shlex.split(match[1].replace("\\|", "|"), comments=True))
            except ValueError:
                found.append(match[1].split())
    return found


@functools.lru_cache(maxsize=None)
def help_of(path):
    done = subprocess.run([BINARY, *path, "--help"], capture_output=True, text=True, timeout=60)
    return done.stdout if done.returncode == 0 else ""


def subcommands(path):
    _, _, listed = help_of(path).partition("Subcommands:")
    return re.findall(r"^  (\S+)", listed, re.MULTILINE)


def flags(path):
    """Of the command and of those above it, which understand their own flags behind it too."""
    found = set()
    for depth in range(len(path) + 1):
        found.update(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", help_of(path[:depth])))
    return found


def wrong_in(words):
    path = ()
    unknown = []
    used = []
    for word in words:
        if word.startswith("-"):
            used.append(word.partition("=")[0])
        elif word in subcommands(path):
            path += (word,)
        elif not path and not used:
            unknown.append(word)
    return unknown + [flag for flag in used if flag not in flags(path)]


class Docs(unittest.TestCase):
    def test_there_are_pages_to_check(self):
        self.assertGreater(len(PAGES), 10)

    def test_every_relative_link_leads_to_a_file_and_a_heading(self):
        for page in PAGES:
            with self.subTest(page=name(page)):
                self.assertEqual(broken_links(page), [])

    def test_every_page_is_reached_from_the_index(self):
        index = ROOT / "docs" / "README.md"
        reached = {(index.parent / link.partition("#")[0]).resolve() for link in links(index)}
        for page in (ROOT / "docs").rglob("*.md"):
            if page != index:
                self.assertIn(page, reached, name(page))

    def test_scripts_that_are_named_exist(self):
        for page in PAGES:
            for script in re.findall(r"\bscripts/[a-z_]+\.(?:sh|py)\b", page.read_text("utf-8")):
                self.assertTrue(
                    (ROOT / script).exists() or (ROOT / "test" / script).exists(),
                    f"{name(page)}: {script}")

    def test_every_metric_is_described(self):
        metrics = (ROOT / "test/data/ports/metrics.txt").read_text("utf-8")
        page = (ROOT / "docs/reference/metrics.md").read_text("utf-8")
        named = set(re.findall(r"^# TYPE (\S+)", metrics, re.MULTILINE))
        self.assertEqual(named, set(re.findall(r"`(nudge_\w+)`", page)))

    def test_no_picture_is_large(self):
        for picture in (ROOT / "docs" / "images").iterdir():
            self.assertLess(picture.stat().st_size, 150_000, name(picture))

    @unittest.skipUnless(BINARY, "NUDGE_BINARY names no program")
    def test_every_command_and_flag_is_one_of_the_program(self):
        for page in PAGES:
            for words in commands(page):
                with self.subTest(page=name(page), command=" ".join(words)):
                    self.assertEqual(wrong_in(words), [])

    @unittest.skipUnless(BINARY, "NUDGE_BINARY names no program")
    def test_the_reference_names_every_command_and_flag(self):
        reference = (ROOT / "docs/reference/command-line.md").read_text("utf-8")
        for command in subcommands(()):
            self.assertTrue(f"nudge {command}" in reference, command)
            for inner in ((), *((name,) for name in subcommands((command,)))):
                path = (command, *inner)
                if inner:
                    self.assertTrue("nudge " + " ".join(path) in reference, path)
                for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]*", help_of(path)):
                    self.assertTrue(flag in reference, f"{' '.join(path)} {flag}")


if __name__ == "__main__":
    unittest.main()
