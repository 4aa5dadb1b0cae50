#!/usr/bin/env python3
"""A full disk: the robot works on or stops with a clear word, and what was recorded stays whole.

The disk is a small tmpfs in a mount namespace of our own, which needs no rights beyond that.
"""

import http.client
import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))

import live_test
import program
from people import Person
from program import Case, LONG, Prepared, SHORT_DEMO, nudge, wait_until

KB, MB = 1024, 1024 * 1024
NO_INPUT, UNAVAILABLE, IO, TRY_AGAIN = 66, 69, 74, 75
INSIDE = "NUDGE_TEST_IN_NAMESPACE"
SIZES = [random.Random(1).randrange(6 * MB) for _ in range(30)] if LONG else [
    20 * KB, 300 * KB, 1500 * KB]

prepared = Prepared()


def enter_namespace():
    """Starts this file anew where it may mount; the same process when that is not allowed."""
    if os.environ.get(INSIDE) or shutil.which("unshare") is None:
        return
    allowed = subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"],
                             capture_output=True).returncode == 0
    if allowed:
        os.environ[INSIDE] = "1"
        os.execvp("unshare", ["unshare", "-rm", sys.executable, *sys.argv])


def setUpModule():
    if not os.environ.get(INSIDE):
        raise unittest.SkipTest("this machine does not let us mount a small disk "
                                "(unshare -rm); run as root or allow user namespaces")
    prepared.make()
    prepared.state = prepared.trained()


def tearDownModule():
    prepared.drop()


class SmallDisk(Case):
    def disk(self, size):
        disk = pathlib.Path(tempfile.mkdtemp(prefix="disk-", dir=self.folder))
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", disk], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", disk], check=True)
        return disk

    def leave(self, disk, room):
        """Fills the disk up to `room` bytes."""
        info = os.statvfs(disk)
        size = info.f_bavail * info.f_frsize - room
        with open(disk / "filler", "wb") as file:
            for _ in range(max(0, size // KB)):
                file.write(bytes(KB))


class DiskFull(SmallDisk):
    def demo(self, out, episodes, *more):
        return nudge("demo", *SHORT_DEMO, "--out", out, "--episodes", episodes,
                     "--corrected", episodes, *more)

    def check_honest(self, outcome):
        """It went to its end, or said that the disk is to blame. It never crashed."""
        self.assertIn(outcome.code, (0, 1, UNAVAILABLE, IO), str(outcome))
        if outcome.code in (UNAVAILABLE, IO):
            self.assertRegex(outcome.err, "full|No space left", str(outcome))

    def test_a_disk_that_fills_during_work_costs_no_event_and_work_goes_on_with_new_space(self):
        for room in SIZES:
            with self.subTest(room=room):
                self.fill_during_work(room)

    def fill_during_work(self, room):
        disk = self.disk(40 * MB)
        out = disk / "demo"
        out.mkdir()
        shutil.copytree(prepared.state, out / "state")
        (out / ".nudge-demo").write_text("")
        before = program.events(out / "state")
        self.leave(disk, room)
        outcome = self.demo(out, 5, "--continue")
        self.check_honest(outcome)
        self.check_whole(out / "state")
        during = program.events(out / "state")
        self.assertEqual(during[:len(before)], before)
        full = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize < 64 * KB
        if full:
            self.assertRegex(outcome.out + outcome.err, "NOT RECORDING|full|No space left")
        (disk / "filler").unlink()
        outcome = self.demo(out, 1, "--continue")
        self.assertIn(outcome.code, (0, 1), str(outcome))
        self.check_whole(out / "state")
        after = program.events(out / "state")
        self.assertEqual(after[:len(during)], during)
        self.assertEqual(after[-1]["boot"], [e for e in after if e["kind"] == "booted"][-1]["boot"])
        ids = [row["id"] for row in after]
        self.assertEqual(len(ids), len(set(ids)))

    def test_a_disk_that_is_too_small_from_the_start_is_told(self):
        for size in (16 * KB, 1 * MB):
            with self.subTest(size=size):
                disk = self.disk(size)
                outcome = self.demo(disk / "demo", 1)
                self.assertIn(outcome.code, (UNAVAILABLE, IO), str(outcome))
                self.assertRegex(outcome.err, "full|No space left", str(outcome))
                verified = nudge("log", "--state", disk / "demo/state", "verify")
                # Whole as far as it goes, or never made, or made and empty.
                self.assertIn(verified.code, (0, NO_INPUT, TRY_AGAIN), str(verified))

    def test_an_act_that_cannot_be_recorded_is_not_taken_for_done(self):
        disk = self.disk(24 * MB)
        state = pathlib.Path(shutil.copytree(prepared.state, disk / "state",
                                             ignore=shutil.ignore_patterns("ballast")))
        self.leave(disk, 0)
        before = program.events(state)
        outcome = nudge("weights", "--state", state, "promote", 1)
        if outcome.code == 0:  # there was room in files that exist
            self.assertEqual(len(program.events(state)), len(before) + 1)
        else:
            self.check(outcome, IO, "full")
            self.assertEqual(program.events(state), before)
        self.check_whole(state)

    def test_reading_needs_no_space(self):
        disk = self.disk(24 * MB)
        state = shutil.copytree(prepared.state, disk / "state",
                                ignore=shutil.ignore_patterns("ballast"))
        self.leave(disk, 0)
        for arguments in (["log", "ls"], ["log", "verify"], ["log", "tail"], ["weights", "ls"]):
            with self.subTest(arguments=arguments):
                self.check(nudge(*arguments, "--state", state), 0)


class StartsOnAFullDisk(SmallDisk, live_test.LiveCase):
    """A robot that recorded until its disk was full is switched off and on again."""

    def metric(self, daemon, name):
        text = daemon.request("GET", "/metrics")[1].decode()
        return float(re.search(rf"^{name} (\S+)$", text, re.M)[1])

    def say(self, daemon, name, patience):
        """The code of the answer; None: there was none."""
        connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=patience)
        try:
            connection.request("POST", "/api/v1/feedback", json.dumps(
                {"type": "words", "id": name, "text": "so far so good", "meant": "comment"}),
                {"Authorization": f"Bearer {daemon.token}", "Content-Type": "application/json"})
            return connection.getresponse().status
        except TimeoutError:
            return None
        finally:
            connection.close()

    def test_holds_tells_lets_people_drive_and_is_well_when_there_is_room(self):
        disk = self.disk(40 * MB)
        shutil.copytree(prepared.state, disk / "state", ignore=shutil.ignore_patterns("ballast"))
        state = self.folder / "state"  # beside its lines, which are to be read
        state.symlink_to(disk / "state")
        self.assertEqual(self.daemon(state).stop(), 0)
        (state / "log/ballast").unlink(missing_ok=True)  # given up when the disk got full
        settings = (state / "config.toml").read_text()
        self.leave(disk, 0)
        port = program.free_port()
        # The episode that begins now has no room, and is over soon: the next one is recorded.
        daemon = self.daemon(state, "--set", f"ports.teleop={port}", "--set", "robot.abandon_s=2")
        self.assertEqual(daemon.status()["state"], "HOLD")
        wait_until(lambda: not daemon.status()["recording"], "that nothing is recorded")
        status = daemon.status()
        self.assertIn("config.toml", status["storage"])
        self.check(nudge("auth", "--state", state, "list"), 0)  # commands can ask it all the same
        self.assertEqual(self.metric(daemon, "nudge_recording"), 0)
        self.assertEqual(self.metric(daemon, "nudge_state_unwritten"), 1)
        code, body = daemon.request("GET", "/readyz", token="")
        self.assertEqual(code, 503)
        self.assertIn(b"config.toml", body)
        self.assertIn("NOT RECORDING", daemon.errors())
        self.assertTrue((state / "config.toml").read_text() == settings)  # whole
        tokens = json.loads((state / "run/tokens.json").read_text())["tokens"]
        person = Person("teleop", port=port, token=tokens["supervisor"])
        self.addCleanup(person.leave)

        def taken():
            if person.state and person.state["mine"]:
                return True
            if person.state and person.state["state"] == "FAULT_HOLD":
                daemon.send("reset_fault")
            person.tell("takeover")
            time.sleep(0.5)
            return False
        wait_until(taken, "a takeover")
        person.drive(person.state["epoch"])
        daemon.wait_for("HUMAN")
        self.assertNotEqual(self.say(daemon, "full:1", 2), 200)
        person.driving = False
        person.leave()
        (disk / "filler").unlink()
        wait_until(lambda: daemon.status()["recording"], "that it records")
        wait_until(lambda: daemon.status()["storage"] == "", "that the settings are written")
        self.assertEqual(self.metric(daemon, "nudge_state_unwritten"), 0)
        self.assertEqual(daemon.request("GET", "/readyz", token="")[0], 200)
        self.assertTrue((state / "config.toml").read_text() != settings)
        self.check(nudge("log", "--state", state, "head"), 0, "nudge-log-head-1")
        wait_until(lambda: self.say(daemon, "full:2", 30) == 200, "an acknowledgement")
        self.assertEqual(daemon.stop(), 0)
        self.check_whole(state)
        ids = [event["id"] for event in program.events(state)]
        self.assertEqual(ids.count("full:2"), 1)
        self.assertEqual(len(ids), len(set(ids)))


if __name__ == "__main__":
    enter_namespace()
    program.main()
