#!/usr/bin/env python3
"""Calls on files fail while the robot works: weights, the STOP latch, the log, settings, devices.

The program runs with faulty_calls.c before it, which fails what it is told to, from the Nth call on or
once, with EIO, ENOSPC or EROFS. Whatever fails: control and takeover go on, nothing is acknowledged that
is not on disk, people are told, and all is well again when the fault ends.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))

import faulty_calls
import live_test
import program
from live_test import LiveCase, UNLIMITED
from people import Person
from program import LONG, PATIENCE, environment, events, nudge, wait_until

ALL_ERRORS = ("EIO", "ENOSPC", "EROFS")
ERRORS = ALL_ERRORS if LONG else ("ENOSPC",)
LOG_FAULTS = ([(pattern, error) for pattern in ("/log/log.db", "/log/segments") for error in ALL_ERRORS]
              if LONG else [("/log/log.db", "EIO"), ("/log/segments", "ENOSPC")])
CALLS = 24 if LONG else 1  # Nth calls of publishing weights
SETTINGS_FAULTS = [("full", "ENOSPC", faulty_calls.ALWAYS), ("once", "ENOSPC", 1)]
if LONG:
    SETTINGS_FAULTS.append(("good", "EIO", faulty_calls.ALWAYS))
# Quick rounds are none of the best, and how good they are is not what is tested here: probation may
# roll them back as often as it likes. A full round begins when an episode ends.
TEACHING = ["--set", "learner.full_steps=40", "--set", "robot.episode_steps=20",
            "--set", "probation.rollbacks_to_pause=100", *UNLIMITED]

prepared = live_test.prepared


def setUpModule():
    prepared.make()
    prepared.trained()
    faulty_calls.build(prepared.folder)


def tearDownModule():
    prepared.drop()


class IoFaults(LiveCase):
    def setUp(self):
        super().setUp()
        self.plan = faulty_calls.Plan(self.folder / "plan")
        os.environ.update(self.plan.environment())
        self.addCleanup(lambda: [os.environ.pop(name, None)
                                 for name in ("LD_PRELOAD", "NUDGE_FAULT_PLAN")])
        self.count = 0

    def begin(self, *arguments, state=None):
        self.port = program.free_port()
        daemon = self.daemon(state, *TEACHING, *arguments, "--set", f"ports.teleop={self.port}")
        if daemon.status()["state"] == "HOLD":
            self.start(daemon)
        return daemon

    def start(self, daemon):
        def started():
            if daemon.status()["state"] == "FAULT_HOLD":  # a machine that stalls is no fault here
                daemon.send("reset_fault")
            return daemon.send("hand_back")[0] == 200 or daemon.status()["state"] == "AUTO"
        wait_until(started, "the start")
        daemon.wait_for("AUTO")

    def again(self, daemon):
        """After a kill, in which nothing is written in order."""
        daemon.kill()
        again = self.daemon(daemon.state, *TEACHING, "--set", f"ports.teleop={self.port}")
        return again

    def person(self, daemon):
        tokens = json.loads((daemon.state / "run/tokens.json").read_text())["tokens"]
        person = Person("teleop", port=self.port, token=tokens["supervisor"])
        self.addCleanup(person.leave)
        return person

    def drive(self, daemon, seconds=0.6):
        """Control can be had, whatever becomes of the record. Fails when it cannot."""
        person = self.person(daemon)

        def taken():
            if person.state and person.state["mine"]:
                return True
            if person.state and person.state["state"] == "FAULT_HOLD":
                daemon.send("reset_fault")
            person.tell("takeover")  # its acknowledgement may never come while nothing is kept
            time.sleep(0.5)
            return False
        wait_until(taken, "a takeover")
        person.drive(person.state["epoch"])
        daemon.wait_for("HUMAN")
        time.sleep(seconds)
        person.tell("hand_back")
        wait_until(lambda: daemon.status()["state"] != "HUMAN", "the end of the drive")
        person.driving = False
        person.leave()
        if daemon.status()["state"] in ("HOLD", "FAULT_HOLD"):
            self.start(daemon)

    def teach_until(self, daemon, condition, what):
        """Drives, and leaves the learner the time that a takeover takes away from it."""
        def taught():
            self.drive(daemon)
            end = time.monotonic() + 20
            while time.monotonic() < end and not condition():
                time.sleep(0.2)
            return condition()
        wait_until(taught, what, PATIENCE)

    def say(self, daemon):
        self.count += 1
        name = f"fault:{self.count}"
        code, _ = daemon.send("words", id=name, text="so far so good", meant="comment")
        return name, code

    def metric(self, daemon, name):
        text = daemon.request("GET", "/metrics")[1].decode()
        return float(re.search(rf"^{name} (\S+)$", text, re.M)[1])

    def live(self, daemon):
        return daemon.status()["weights"]["live"]

    def check_files(self, state):
        """Each version that the folder names is whole, or its name is not there."""
        rows = nudge("weights", "--state", state, "--json", "ls").json()
        known = {row["version"]: row["hash"] for row in rows}
        for file in (state / "weights").glob("*.safetensors"):
            version = int(file.name.split(".")[0])
            if version in known and (state / f"weights/{version}.manifest.json").exists():
                self.assertEqual(subprocess.run(["sha256sum", file], capture_output=True, text=True)
                                 .stdout.split()[0], known[version], file)

    def test_the_log_cannot_be_written_and_nothing_is_acknowledged_until_it_can(self):
        for pattern, error in LOG_FAULTS:
            with self.subTest(pattern=pattern, error=error):
                daemon = self.begin(state=self.copy_of(prepared.folder / "trained",
                                                       f"{pattern[5:]}-{error}"))
                name, code = self.say(daemon)
                self.assertEqual(code, 200)
                kept = [name]
                self.plan.fail(pattern, error)
                wait_until(lambda: self.metric(daemon, "nudge_recording") == 0,
                           "that the figures tell")
                self.assertFalse(daemon.status()["recording"])
                self.assertEqual(daemon.request("GET", "/readyz", token="")[0], 503)
                self.drive(daemon)
                self.assertIn(daemon.status()["state"], ("AUTO", "HANDBACK"))
                self.plan.end()
                wait_until(lambda: daemon.status()["recording"], "that it records again")
                wait_until(lambda: self.say(daemon)[1] == 200, "an acknowledgement")
                kept.append(f"fault:{self.count}")
                self.assertIn("NOT RECORDING", daemon.errors())
                again = self.again(daemon)
                self.assertEqual(again.status()["state"], "HOLD")
                again.stop()
                self.check_whole(daemon.state)
                found = [event["id"] for event in events(daemon.state)]
                for name in kept:
                    self.assertEqual(found.count(name), 1)

    def test_weights_that_cannot_be_written_never_act_and_later_ones_do(self):
        for error in ERRORS:
            with self.subTest(error=error):
                daemon = self.begin(state=self.copy_of(prepared.folder / "trained", error))
                self.plan.fail("/weights/", error)
                self.teach_until(daemon, lambda: self.plan.calls > 0,
                                 "that weights are to be written")
                self.drive(daemon)
                self.assertIn(self.live(daemon), (0, 1))
                self.plan.end()
                self.teach_until(daemon, lambda: self.live(daemon) > 1, "later weights")
                self.assertEqual(self.again(daemon).stop(), 0)
                self.check_whole(daemon.state)
                self.check_files(daemon.state)

    def test_any_one_call_for_weights_fails_and_the_next_round_is_none_the_worse(self):
        daemon = self.begin()
        for call in range(1, CALLS + 1):
            with self.subTest(call=call):
                before = self.live(daemon)
                self.plan.fail("/weights/", ALL_ERRORS[call % len(ALL_ERRORS)], call, call)
                self.teach_until(daemon, lambda: self.plan.calls >= call, f"call {call}")
                self.plan.end()
                self.teach_until(daemon, lambda: self.live(daemon) not in (0, before),
                                 "other weights")
        again = self.again(daemon)
        self.assertNotIn("cannot be used", again.errors())
        again.stop()
        self.check_whole(daemon.state)
        self.check_files(daemon.state)

    def test_stop_acts_at_once_and_outlives_a_restart_when_its_latch_cannot_be_written(self):
        for error in ERRORS:
            with self.subTest(error=error):
                daemon = self.begin(state=self.copy_of(prepared.folder / "trained", error))
                self.plan.fail("stop.latch", error)
                daemon.send("stop")
                daemon.wait_for("ESTOP", patience=5)
                wait_until(lambda: "STOP latch is not on disk" in daemon.errors(), "a word")
                daemon.kill()
                # Without a latch it does not begin; with one, the log knows that STOP was pressed.
                outcome = nudge("run", "--state", daemon.state, *live_test.PATIENT)
                self.assertIn(outcome.code, (69, 74, 77), str(outcome))  # 77: EROFS
                self.assertIn("stop.latch", outcome.err)
                self.plan.end()
                again = self.daemon(daemon.state)
                self.assertEqual(again.status()["state"], "ESTOP")
                again.stop()

    def test_stop_is_latched_when_nothing_but_its_latch_can_be_written(self):
        daemon = self.begin()
        self.plan.fail("/log/", "ENOSPC")
        wait_until(lambda: not daemon.status()["recording"], "that nothing is recorded")
        person = self.person(daemon)
        person.tell("stop")  # its acknowledgement cannot come, and nobody waits for it
        daemon.wait_for("ESTOP", patience=5)
        latch = daemon.state / "run/stop.latch"
        wait_until(lambda: latch.read_bytes()[:1] == b"1", "the latch on disk")
        daemon.process.kill()
        daemon.process.wait()
        self.plan.end()
        again = self.again(daemon)
        self.assertEqual(again.status()["state"], "ESTOP")
        again.stop()

    def test_a_device_is_not_let_in_before_it_is_on_disk(self):
        daemon = self.begin()

        def pair():
            code = json.loads(daemon.request("POST", "/api/v1/pairing-codes",
                                             {"role": "viewer"})[1])["code"]
            return daemon.request("POST", "/api/v1/pair", {"code": code, "name": "tablet"},
                                  token="")
        self.plan.fail("/run/devices", "ENOSPC")
        status, body = pair()
        self.assertIn(status, (503, 507), body)
        self.assertEqual(json.loads(daemon.request("GET", "/api/v1/devices")[1])["devices"], [])
        self.assertIn(daemon.status()["state"], ("AUTO", "HANDBACK"))
        self.plan.end()
        status, body = pair()
        self.assertEqual(status, 200, body)
        again = self.again(daemon)
        self.assertEqual(len(json.loads(again.request("GET", "/api/v1/devices")[1])["devices"]), 1)
        again.stop()

    def test_settings_that_cannot_be_written_are_told_and_the_robot_starts_all_the_same(self):
        for name, error, last in SETTINGS_FAULTS:
            with self.subTest(name=name):
                state = self.copy_of(prepared.folder / "trained", name)
                before = (state / "config.toml").read_text()
                self.plan.fail("/config.toml", error, 1, last)
                daemon = self.daemon(state)
                self.assertEqual(daemon.status()["state"], "HOLD")
                wait_until(lambda: "settings in force cannot be written" in daemon.errors(),
                           "a word")
                if name != "once":
                    wait_until(lambda: "config.toml" in daemon.status()["storage"],
                               "that people are told")
                    self.assertEqual(self.metric(daemon, "nudge_state_unwritten"), 1)
                    code, body = daemon.request("GET", "/readyz", token="")
                    self.assertEqual(code, 503)
                    self.assertIn(b"config.toml", body)
                    self.assertTrue((state / "config.toml").read_text() == before)
                    self.start(daemon)
                self.plan.end()
                wait_until(lambda: (state / "config.toml").read_text() != before,
                           "that they are written")
                wait_until(lambda: daemon.status()["storage"] == "", "that all is well")
                self.assertEqual(self.metric(daemon, "nudge_state_unwritten"), 0)
                self.assertEqual(daemon.stop(), 0)

    def test_the_programs_own_lines_cannot_be_written_and_nobody_minds(self):
        daemon = self.begin()
        self.plan.fail(f"{daemon.state.name}.err", "EIO")
        self.drive(daemon)
        self.assertEqual(self.say(daemon)[1], 200)
        self.plan.end()
        self.assertEqual(daemon.stop(), 0)

    def test_everything_is_read_only_from_one_moment_on_and_the_robot_works_until_it_is_not(self):
        daemon = self.begin()
        self.plan.fail(str(daemon.state), "EROFS")
        wait_until(lambda: not daemon.status()["recording"], "that nothing is recorded")
        self.drive(daemon)
        time.sleep(2)
        self.assertIn(daemon.status()["state"], ("AUTO", "HANDBACK"))
        self.plan.end()
        wait_until(lambda: daemon.status()["recording"], "that it records again")
        wait_until(lambda: self.say(daemon)[1] == 200, "an acknowledgement")
        self.assertEqual(daemon.stop(), 0)
        self.check_whole(daemon.state)

    def test_a_read_only_disk_is_told_at_the_start(self):
        state = self.copy_of(prepared.folder / "trained")
        script = ('mount -t tmpfs -o size=64m tmpfs /mnt && cp -r "$1" /mnt/state && '
                  'mount -o remount,ro /mnt && exec "$2" run --state /mnt/state --set ports.http=0')
        if subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode != 0:
            self.skipTest("this machine lets us mount nothing (unshare -rm)")
        done = subprocess.run(["unshare", "-rm", "sh", "-c", script, "sh", str(state),
                               program.program()], capture_output=True, text=True, timeout=60,
                              env=environment(LD_PRELOAD=""))
        self.assertIn(done.returncode, (69, 74, 77), done.stderr)
        self.assertIn("Read-only file system", done.stderr)


if __name__ == "__main__":
    program.main()
