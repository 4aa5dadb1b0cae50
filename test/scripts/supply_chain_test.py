#!/usr/bin/env python3
"""What Nudge is built from: all of it is listed, pinned where it can be, and under a licence that may be."""

import importlib.util
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
LISTED = json.loads((ROOT / "scripts/dependencies.json").read_text(encoding="utf-8"))
LOCK = json.loads((ROOT / "web/package-lock.json").read_text(encoding="utf-8"))
PACKAGE = json.loads((ROOT / "web/package.json").read_text(encoding="utf-8"))
# Tools of the build, and the languages' own libraries: nothing of them is in the program.
NO_LIBRARIES = {"Threads", "PkgConfig", "Python3"}
TOOLS = {"g++", "cmake", "ninja-build", "pkg-config", "ca-certificates", "python3"}


def sbom():
    spec = importlib.util.spec_from_file_location("sbom", ROOT / "scripts/sbom.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def parts(expression):
    return [part for part in re.split(r" (?:AND|OR) ", expression)]


def cmake_names():
    """What the build files look for."""
    found = set()
    for path in ROOT.rglob("CMakeLists.txt"):
        if "build" in path.relative_to(ROOT).parts or "node_modules" in path.parts:
            continue
        text = re.sub(r"#.*", "", path.read_text(encoding="utf-8"))
        found.update(re.findall(r"find_package\(\s*(\S+?)[\s)]", text))
        for modules in re.findall(r"pkg_check_modules\(\s*\S+\s+([^)]*)\)", text):
            found.update(word for word in modules.split()
                         if word not in ("REQUIRED", "IMPORTED_TARGET") and word.islower())
        found.update(re.findall(r"find_library\(\s*\S+\s+(?:NAMES\s+)?(\w+)", text))
    return found - NO_LIBRARIES


class SupplyChain(unittest.TestCase):
    def test_every_library_that_the_build_looks_for_is_listed(self):
        listed = {entry.get("cmake") for entry in LISTED["system"]}
        self.assertEqual(cmake_names() - listed, set())

    def test_every_package_that_setup_installs_is_listed(self):
        script = (ROOT / "scripts/setup.sh").read_text(encoding="utf-8")
        block = re.search(r"^packages=\((.*?)\)", script, re.MULTILINE | re.DOTALL)[1]
        listed = {entry["apt"] for entry in LISTED["system"]}
        self.assertEqual(set(block.split()) - TOOLS - listed, set())

    def test_every_licence_is_one_that_may_be(self):
        anywhere = set(LISTED["allowed_licenses"])
        for entry in LISTED["system"] + LISTED["pypi"]:
            allowed = set(anywhere)
            allowed.update({"shared": LISTED["allowed_as_shared_library"],
                            "program": LISTED["allowed_as_program"],
                            "test": LISTED["allowed_for_tests"]}.get(entry.get("use"), []))
            for part in parts(entry["license"]):
                self.assertIn(part, allowed, entry["name"])
        for path, entry in LOCK["packages"].items():
            allowed = anywhere | set(LISTED["allowed_for_tests"] if entry.get("dev") else [])
            for part in parts(entry["license"]):
                self.assertIn(part, allowed, path)

    def test_installed_packages_say_the_licence_that_is_listed(self):
        for entry in LISTED["system"]:
            notice = pathlib.Path("/usr/share/doc") / entry["apt"] / "copyright"
            if "says" not in entry or not notice.is_file():
                continue
            text = notice.read_text(encoding="utf-8", errors="replace")
            self.assertRegex(text, entry["says"], entry["apt"])

    def test_the_python_package_needs_what_is_listed(self):
        text = (ROOT / "python/pyproject.toml").read_text(encoding="utf-8")
        lists = re.findall(r"^(?:dependencies|images|dev) = \[(.*?)\]", text, re.MULTILINE)
        wanted = {name.lower() for one in lists for name in re.findall(r'"([A-Za-z0-9_-]+)', one)}
        self.assertEqual(wanted - {entry["name"].lower() for entry in LISTED["pypi"]}, set())

    def test_the_page_is_built_from_exact_versions_with_strong_hashes(self):
        own = LOCK["packages"][""]
        self.assertGreaterEqual(LOCK["lockfileVersion"], 3)
        for kind in ("dependencies", "devDependencies"):
            self.assertEqual(own.get(kind), PACKAGE.get(kind), "the lock file is another's")
            for name, version in PACKAGE[kind].items():
                self.assertRegex(version, r"^\d+\.\d+\.\d+$", name)
                self.assertEqual(LOCK["packages"][f"node_modules/{name}"]["version"], version)
        for path, entry in LOCK["packages"].items():
            if path == "":
                continue
            self.assertRegex(entry.get("integrity", ""), r"^sha512-[A-Za-z0-9+/]{86}==$", path)
            self.assertNotIn("link", entry, path)
            if "resolved" in entry:
                self.assertTrue(entry["resolved"].startswith("https://registry.npmjs.org/"), path)

    def test_the_pages_packages_run_nothing_when_they_are_installed(self):
        text = (ROOT / "web/scripts/install.mjs").read_text(encoding="utf-8")
        self.assertIn('"ci"', text)
        self.assertIn('"--ignore-scripts"', text)

    def test_the_bill_of_materials_lists_all_of_it(self):
        bill = sbom().make()
        self.assertEqual((bill["bomFormat"], bill["specVersion"]), ("CycloneDX", "1.5"))
        references = [component["bom-ref"] for component in bill["components"]]
        self.assertEqual(len(references), len(set(references)))
        self.assertEqual(len(references), len(LISTED["system"]) + len(LISTED["pypi"]) +
                         len(LOCK["packages"]) - 1)
        self.assertEqual(bill["dependencies"][0]["dependsOn"], references)
        for component in bill["components"]:
            self.assertTrue(component["licenses"], component["name"])

    def test_the_bill_of_materials_is_the_same_every_time(self):
        with tempfile.TemporaryDirectory() as folder:
            texts = []
            for name in ("one", "two"):
                path = pathlib.Path(folder) / name
                subprocess.run([sys.executable, ROOT / "scripts/sbom.py", path], check=True)
                texts.append(path.read_bytes())
        self.assertEqual(texts[0], texts[1])


if __name__ == "__main__":
    unittest.main()
