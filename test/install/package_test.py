#!/usr/bin/env python3
"""The Debian packages: what they need, what they contain, and what they leave behind.

NUDGE_BUILD names the build folder.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "test" / "e2e"))

import program  # noqa: E402

BUILD = pathlib.Path(os.environ.get("NUDGE_BUILD", ROOT / "build/release"))
TOOLS = ("cpack", "dpkg-deb", "dpkg-shlibdeps")

place = None
packages = {}


def setUpModule():
    global place
    for tool in TOOLS:
        if shutil.which(tool) is None:
            raise unittest.SkipTest(f"there is no {tool}: scripts/setup.sh --for package")
    if os.environ.get("NUDGE_SANITIZE"):
        raise unittest.SkipTest("nobody packages sanitizers")
    place = tempfile.TemporaryDirectory(prefix="nudge-test-")
    done = subprocess.run(["cpack", "--config", BUILD / "CPackConfig.cmake", "-B", place.name],
                          text=True, capture_output=True, timeout=600)
    if done.returncode != 0:
        raise AssertionError(f"{done.stdout}\n{done.stderr}")
    for file in pathlib.Path(place.name).glob("*.deb"):
        packages[file.name.split("_")[0]] = file


def tearDownModule():
    if place is not None:
        place.cleanup()


def ask(*arguments):
    return subprocess.run(["dpkg-deb", *map(str, arguments)], check=True, capture_output=True,
                          text=True).stdout


def unpack(name, folder):
    ask("--raw-extract", packages[name], folder)
    return folder / "DEBIAN"


class Packages(program.Case):
    def test_there_is_one_for_the_robots_daemon_and_one_for_robots(self):
        self.assertEqual(sorted(packages), ["libnudge-dev", "nudge"])

    def test_the_program_depends_on_what_it_loads_and_the_client_on_zeromq_alone(self):
        depends = ask("--field", packages["nudge"], "Depends")
        for name in ("libtorch", "libc6", "libmujoco", "libzmq5", "libsqlite3", "openblas"):
            self.assertIn(name, depends)
        client = re.split(r", ", ask("--field", packages["libnudge-dev"], "Depends").strip())
        self.assertEqual(client, ["libzmq3-dev", "pkg-config | pkgconf"])

    def test_its_version_names_the_release_that_it_is_for(self):
        self.assertRegex(ask("--field", packages["nudge"], "Version"),
                         r"^\d+\.\d+\.\d+-1~[a-z]+[\d.]+$|^\d+\.\d+\.\d+-1$")

    def test_files_are_roots_and_where_the_system_looks_for_them(self):
        for line in ask("--contents", packages["nudge"]).splitlines():
            mode, owner, _, _, _, path = line.split(None, 5)
            self.assertEqual(owner, "root/root", line)
            self.assertRegex(path, r"^\./($|usr/|etc/)", line)
            self.assertEqual(mode[4:].replace("x", "-"), "r--r--", line)
        folder = self.folder / "nudge"
        unpack("nudge", folder)
        for path in ("usr/bin/nudge", "etc/nudge/nudge.toml", "usr/share/man/man1/nudge.1",
                     "usr/lib/systemd/system/nudge.service", "usr/share/doc/nudge/copyright",
                     "usr/share/doc/nudge/docs/how-to/install.md"):
            self.assertTrue((folder / path).is_file(), path)
        unit = (folder / "usr/lib/systemd/system/nudge.service").read_text()
        self.assertIn("ExecStart=/usr/bin/nudge run --config /etc/nudge/nudge.toml", unit)

    def test_it_says_what_it_is_built_from(self):
        folder = self.folder / "nudge"
        unpack("nudge", folder)
        bill = json.loads((folder / "usr/share/doc/nudge/nudge.cdx.json").read_text())
        self.assertEqual(bill["bomFormat"], "CycloneDX")
        self.assertIn(bill["metadata"]["component"]["version"],
                      ask("--field", packages["nudge"], "Version"))
        listed = {c["bom-ref"]: c for c in bill["components"]}
        # What it links with is there, in the version that it was built with.
        for package in ("libsqlite3-dev", "libsodium-dev"):
            self.assertRegex(listed[f"apt:{package}"].get("version", ""), r"\d", package)

    def test_the_configuration_is_the_persons_to_change(self):
        control = unpack("nudge", self.folder / "nudge")
        self.assertEqual((control / "conffiles").read_text().split(), ["/etc/nudge/nudge.toml"])

    def test_its_scripts_neither_start_nor_enable_the_service(self):
        control = unpack("nudge", self.folder / "nudge")
        for name in ("postinst", "prerm", "postrm"):
            text = (control / name).read_text()
            self.assertTrue(os.access(control / name, os.X_OK), name)
            self.assertNotRegex(text, r"systemctl (re)?start|systemctl enable")
            subprocess.run(["sh", "-n", control / name], check=True)

    def test_nothing_in_it_knows_where_it_was_built(self):
        for name in packages:
            folder = self.folder / name
            unpack(name, folder)
            for file in folder.rglob("*"):
                if file.is_file():
                    self.assertNotIn(str(ROOT).encode(), file.read_bytes(), file)


if __name__ == "__main__":
    program.main()
