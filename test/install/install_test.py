#!/usr/bin/env python3
"""What `cmake --install` leaves behind, as others use it: an outside project that is the C++
tutorial to the letter, and the program from a folder that knows nothing of the build.

NUDGE_BUILD names the build folder.
"""

import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "test" / "e2e"))

import program  # noqa: E402
from fences import fences  # noqa: E402
from people import Person  # noqa: E402
from program import Case, end, environment, free_port, wait_until  # noqa: E402

BUILD = pathlib.Path(os.environ.get("NUDGE_BUILD", ROOT / "build/release"))
TUTORIAL = ROOT / "docs/tutorial/cpp.md"
CXX = os.environ.get("CXX", "c++")
SANITIZE = os.environ.get("NUDGE_SANITIZE", "")
SANITIZED = [f"-fsanitize={SANITIZE}"] if SANITIZE else []
HEAVY = re.compile(r"torch|c10|boost|sqlite|mujoco|ssl|sodium", re.IGNORECASE)

place = None  # a folder for all tests of this file
prefix = None


def setUpModule():
    """The first section of the tutorial, but for the build, which is there."""
    global place, prefix
    place = tempfile.TemporaryDirectory(prefix="nudge-test-")
    project = pathlib.Path(place.name) / "a project"
    (project / "build").mkdir(parents=True)
    (project / "build/release").symlink_to(BUILD, target_is_directory=True)
    lines = [line for line in fences(TUTORIAL, "sh")[0].splitlines()
             if "--install" in line or line.startswith("export")]
    shell("\n".join([*lines, "env > environment"]), cwd=project)
    prefix = project / "nudge-install"


def tearDownModule():
    place.cleanup()


def shell(commands, cwd, **more):
    done = subprocess.run(["bash", "-euc", commands], cwd=cwd, text=True, capture_output=True,
                          timeout=program.PATIENCE, env=environment(**more))
    if done.returncode != 0:
        raise AssertionError(f"{commands}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def as_the_tutorial_exports():
    lines = (prefix.parent / "environment").read_text().splitlines()
    found = dict(line.split("=", 1) for line in lines if "=" in line)
    exported = {name: found[name] for name in ("CMAKE_PREFIX_PATH", "PATH")}
    if SANITIZED:  # as for every object of the build
        exported["CXXFLAGS"] = exported["LDFLAGS"] = " ".join(SANITIZED)
    return exported


def needed(file):
    text = subprocess.run(["readelf", "-d", file], check=True, capture_output=True, text=True)
    return re.findall(r"\(NEEDED\).*\[(.*)\]", text.stdout)


class Client(Case):
    def outside_project(self):
        folder = self.folder / "pan tilt"
        folder.mkdir()
        (folder / "CMakeLists.txt").write_text(fences(TUTORIAL, "cmake")[0])
        (folder / "pan_tilt.cc").write_text(fences(TUTORIAL, "cpp")[0])
        return folder

    def client_alone(self):
        alone = self.folder / "client"
        shell(f"cmake --install {shlex.quote(str(BUILD))} --component client --prefix {alone}",
              self.folder)
        return alone

    def built_robot(self):
        folder = self.outside_project()
        shell(fences(TUTORIAL, "sh")[1], folder, **as_the_tutorial_exports())
        return folder

    def test_the_tutorials_robot_is_built_by_another_project_and_driven_by_a_person(self):
        folder = self.built_robot()
        names = needed(folder / "build/pan_tilt")
        self.assertTrue([name for name in names if "zmq" in name], names)
        self.assertEqual([name for name in names if HEAVY.search(name)], [])

        robot_port, teleop = free_port(), free_port()
        ports = {"NUDGE_PORTS__HTTP": "0", "NUDGE_PORTS__ROBOT": str(robot_port),
                 "NUDGE_PORTS__TELEOP": str(teleop), "NUDGE_AUTHORITY__WATCHDOG_MS": "800"}
        typed = fences(TUTORIAL, "sh")[2].strip()
        started = environment(**as_the_tutorial_exports(), **ports)
        robot = subprocess.Popen([folder / "build/pan_tilt", f"tcp://127.0.0.1:{robot_port}"],
                                 stderr=subprocess.PIPE, text=True)
        self.addCleanup(end, robot)
        daemon = subprocess.Popen(["bash", "-c", f"exec {typed}"], cwd=folder, env=started,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(end, daemon)
        address = daemon.stdout.readline()
        if "#token=" not in address:
            self.fail(daemon.stderr.read())
        self.assertEqual(robot.stderr.readline(), "pan_tilt: connected\n")

        tokens = json.loads((folder / "pan-tilt-data/run/tokens.json").read_text())["tokens"]
        person = Person("teleop", port=teleop, token=tokens["supervisor"], robot="pan-tilt")
        self.addCleanup(person.leave)
        person.make_action = lambda sequence, action: [0.8, -0.3]
        person.wait(lambda: person.state["state"] == "HOLD", "a robot that holds")
        begun = person.state["proprioception"]
        self.assertTrue(person.take_over()["ok"])
        person.wait(lambda: person.state["proprioception"][0] > begun[0] + 0.2, "the pan's turn")
        person.wait(lambda: person.state["proprioception"][1] < begun[1] - 0.05, "the tilt's turn")
        person.dead_man = False
        person.wait(lambda: person.state["source"] != "human", "a robot that stands")

        # A robot whose process is stopped has left the daemon without one; nobody drives it on.
        robot.send_signal(signal.SIGSTOP)
        person.wait(lambda: person.state["state"] == "FAULT_HOLD", "the fault")
        robot.send_signal(signal.SIGCONT)
        for process in (daemon, robot):
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(60), 0, process.stderr.read())
            process.stderr.close()
        daemon.stdout.close()
        said = program.nudge("log", "--state", folder / "pan-tilt-data", "--json", "verify",
                             own=prefix / "bin/nudge")
        self.assertTrue(said.json()["ok"], str(said))

    def test_pkg_config_says_what_the_compiler_needs(self):
        # Where the shell takes words apart at spaces, there may be none in the prefix.
        alone = self.client_alone()
        folder = self.outside_project()
        shell(f"{CXX} -std=c++20 {' '.join(SANITIZED)} pan_tilt.cc -o pan_tilt "
              "$(pkg-config --cflags --libs nudge-client)", folder,
              PKG_CONFIG_PATH=str(next(alone.glob("lib*/**/pkgconfig"))))
        self.assertTrue((folder / "pan_tilt").exists())

    def test_each_header_stands_alone_and_none_of_the_modules_is_there(self):
        headers = sorted((prefix / "include/nudge").iterdir())
        self.assertEqual([header.name for header in headers],
                         ["robot.h", "robot_client.h", "status.h", "time.h", "types.h"])
        for header in headers:
            with self.subTest(header.name):
                shell(f"echo '#include <nudge/{header.name}>' | {CXX} -std=c++20 -Wall -Wextra "
                      f"-Wpedantic -Werror -fsyntax-only -I {shlex.quote(str(prefix))}/include "
                      "-x c++ -", self.folder)

    def test_what_it_does_not_have_is_said_when_it_is_looked_for(self):
        for asked, said in (("nudge 0.1 REQUIRED COMPONENTS daemon", "no component 'daemon'"),
                            ("nudge 1.0 REQUIRED", "version")):
            with self.subTest(asked):
                folder = self.folder / said[:4].strip()
                folder.mkdir()
                (folder / "CMakeLists.txt").write_text(
                    "cmake_minimum_required(VERSION 3.25)\nproject(outside LANGUAGES CXX)\n"
                    f"find_package({asked})\n")
                done = subprocess.run(["cmake", "-B", "build"], cwd=folder, text=True,
                                      capture_output=True,
                                      env=environment(**as_the_tutorial_exports()))
                self.assertNotEqual(done.returncode, 0)
                self.assertIn(said, done.stderr)

    def test_the_client_is_installed_without_anything_else(self):
        alone = self.client_alone()
        kinds = {file.suffix for file in alone.rglob("*") if file.is_file()}
        self.assertEqual(kinds, {".h", ".a", ".cmake", ".pc", ""})
        self.assertEqual([file.name for file in alone.rglob("*") if file.suffix == ""
                          and file.is_file()], ["copyright"])


class Program(Case):
    def test_runs_from_anywhere_as_anybody_with_nothing_of_the_build_in_reach(self):
        # A copy, since others may not look into a test's folder; and no home to write to.
        copy = self.folder / "nudge"
        shutil.copy(prefix / "bin/nudge", copy)
        self.folder.chmod(0o777)
        before = ()
        if os.geteuid() == 0:
            before = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
        outcome = program.nudge("demo", *program.SHORT_DEMO, "--out", self.folder / "out",
                                "--episodes", 1, "--corrected", 1, before=before, own=copy,
                                cwd=self.folder, env={"PATH": os.environ["PATH"]})
        self.assertIn(outcome.code, (0, 1), str(outcome))
        self.assertTrue((self.folder / "out/result.json").exists(), str(outcome))

    def test_no_installed_file_knows_where_it_was_built(self):
        places = [str(BUILD).encode(), str(ROOT).encode()]
        for file in prefix.rglob("*"):
            if file.is_file() and file.name != "nudge":
                for known in places:
                    self.assertNotIn(known, file.read_bytes(), file)
        run_path = subprocess.run(["readelf", "-d", prefix / "bin/nudge"], check=True,
                                  capture_output=True, text=True).stdout
        self.assertNotRegex(run_path, r"R(UN)?PATH")

    def test_the_bill_of_materials_is_beside_the_pages(self):
        bill = json.loads((prefix / "share/doc/nudge/nudge.cdx.json").read_text())
        self.assertEqual((bill["bomFormat"], bill["metadata"]["component"]["name"]),
                         ("CycloneDX", "nudge"))

    def test_units_name_the_program_and_the_configuration_beside_them(self):
        unit = (prefix / "lib/systemd/system/nudge.service").read_text()
        start = re.search(r"^ExecStart=(.*)$", unit, re.MULTILINE)[1]
        self.assertEqual(start, f"{prefix}/bin/nudge run --config {prefix}/etc/nudge/nudge.toml "
                                "--state /var/lib/nudge")

    def test_every_installed_configuration_is_valid(self):
        files = [prefix / "etc/nudge/nudge.toml", *(prefix / "share/nudge/configs").glob("*.toml")]
        self.assertGreaterEqual(len(files), 4)
        for file in files:
            outcome = program.nudge("config", "print", "--config", file, own=prefix / "bin/nudge")
            self.assertEqual(outcome.code, 0, str(outcome))

    def test_the_manual_names_every_command(self):
        manual = (prefix / "share/man/man1/nudge.1").read_text()
        said = program.nudge("--help", own=prefix / "bin/nudge").out
        commands = re.findall(r"^  ([a-z]+)  ", said.split("ubcommands:", 1)[1], re.MULTILINE)
        self.assertGreaterEqual(len(commands), 10)
        for command in commands:
            self.assertIn(f"nudge {command}\n", manual)


if __name__ == "__main__":
    program.main()
