#!/usr/bin/env python3
"""The learner dies, cannot start, hangs, or is somebody else's: the robot works on, and the person
is told."""

import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))

import kill_campaign
import live_test
import program
from live_test import LiveCase, memory_mib
from program import Case, LONG, PATIENCE, Prepared, SHORT_DEMO, nudge

SEED = int(os.environ.get("NUDGE_SEED", "1"))  # of the moments
KILLS = 100 if LONG else 5

prepared = Prepared()


def setUpModule():
    prepared.make()
    prepared.state = prepared.trained()
    live_test.prepared = prepared


def tearDownModule():
    prepared.drop()


class Learner(Case):
    def setUp(self):
        super().setUp()
        self.out = self.folder / "demo"
        self.out.mkdir()
        self.state = self.copy_of(prepared.state, "demo/state")
        (self.out / ".nudge-demo").write_text("")

    def demo(self, episodes, *more, own=None):
        command = [own or program.program(), "demo", *SHORT_DEMO, "--out", str(self.out),
                   "--continue", "--json", "--episodes", str(episodes),
                   "--corrected", str(episodes), "--set", "learner.restart_first_s=0.1", *more]
        return subprocess.Popen(command, env=program.environment(), stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def finish(self, demo):
        out, err = demo.communicate(timeout=PATIENCE)
        outcome = program.Outcome(demo.args[1:], demo.returncode, out, err)
        self.assertIn(outcome.code, (0, 1), str(outcome))
        self.check_whole(self.state)
        self.assertEqual(program.learners(self.state), [])
        return outcome

    def episodes(self):
        rows = nudge("log", "--state", self.state, "--json", "ls", "-n", 1000).json()
        return [row for row in rows if row["purpose"] == "deployment"]

    def test_killed_again_and_again_it_is_started_again_and_the_demo_ends_well(self):
        moments = random.Random(SEED)
        episodes = 3 * KILLS + 6
        demo = self.demo(episodes, "--set", "learner.restart_max_s=0.2")
        killed = []
        while len(killed) < KILLS and demo.poll() is None:
            program.kill_a_learner(self.state, killed, lambda: moments.uniform(0, 0.8))
        outcome = self.finish(demo)
        deaths = outcome.json()["learner_deaths"]
        self.assertEqual(len(killed), KILLS, "the demo was over too soon")
        self.assertIn(deaths, (KILLS - 1, KILLS), str(outcome))  # the last may end with the demo
        self.assertIn("the learner ended (signal 9); the robot works on without it",
                      outcome.err)
        self.assertEqual(len(self.episodes()), episodes)

    def test_one_that_can_never_start_is_tried_ever_more_rarely(self):
        # The program is taken away while it runs, as an upgrade does.
        own = self.folder / "nudge-copy"
        shutil.copy2(program.program(), own)
        before = len(os.listdir(self.state / "log/segments"))
        demo = self.demo(5, "--set", "learner.restart_max_s=60", own=str(own))
        program.wait_until(lambda: (self.state / "run").exists(), "the daemon to open its state")
        own.unlink()
        outcome = self.finish(demo)
        self.assertEqual(len(self.episodes()), 5)
        self.assertEqual(len(os.listdir(self.state / "log/segments")), before + 5)
        pauses = [float(text) for text in re.findall(r"next start in ([\d.]+) s", outcome.err)]
        self.assertGreaterEqual(len(pauses), 1, str(outcome))
        self.assertEqual(pauses, [0.1 * 2**i for i in range(len(pauses))])
        self.assertIn("it could not be started", outcome.err)
        kinds = [row["kind"] for row in program.events(self.state)]
        self.assertNotIn("candidate_received", kinds)

    def test_one_that_fails_at_once_says_why_in_its_own_log(self):
        demo = self.demo(3)
        program.wait_until(lambda: program.learners(self.state), "a learner")
        # From now on a learner that starts finds settings that it cannot read.
        (self.state / "config.toml").write_text("[learner]\nbatch = 0\n")
        os.kill(program.learners(self.state)[0], signal.SIGKILL)
        outcome = self.finish(demo)
        self.assertIn("the learner ended (signal 9)", outcome.err)
        if "exit code 78" in outcome.err:  # the demo was long enough to try again
            self.assertIn("learner.log", outcome.err)
            self.assertIn("learner.batch = 0", (self.state / "learner.log").read_text())

    @unittest.skipUnless(LONG, "a hang is noticed after two minutes; NUDGE_LONG=1 waits for it")
    def test_one_that_hangs_is_ended_and_started_again(self):
        demo = self.demo(4)
        program.wait_until(lambda: program.learners(self.state), "a learner")
        os.kill(program.learners(self.state)[0], signal.SIGSTOP)
        outcome = self.finish(demo)
        self.assertIn("has not caught up", outcome.err)
        self.assertEqual(outcome.json()["learner_deaths"], 1)


    def test_a_log_of_it_that_has_grown_long_is_put_aside(self):
        log = self.state / "learner.log"
        with open(log, "wb") as file:
            file.truncate(64 << 20)
        outcome = self.finish(self.demo(3))
        self.assertEqual(outcome.json()["learner_deaths"], 0, str(outcome))
        self.assertIn("sandbox:", log.read_text())
        self.assertEqual((self.state / "learner.log.1").stat().st_size, 64 << 20)


class TakenOver(LiveCase):
    """Writes to the daemon's socket what it likes, as code inside a learner could."""

    def connect(self, daemon):
        peer = socket.socket(socket.AF_UNIX)
        self.addCleanup(peer.close)
        peer.connect(str(daemon.state / "run/learner"))
        peer.settimeout(60)
        return peer

    @staticmethod
    def message(what, body=b"", announced=None, **fields):
        header = json.dumps({"protocol": 4, "type": what, **fields}).encode()
        return struct.pack("<II", len(header), announced or len(body)) + header + body

    def hello(self, config_hash):
        return self.message("hello", pid=1, config_hash=config_hash, core_type="", confined=True,
                            sandbox="it says")

    def candidate(self, size):
        return self.message("candidate", bytes(size), base=1, kind=0, prefix=1, steps=1,
                            train_seconds=0.1, loss=0.1, correction_episodes=0,
                            correction_steps=0, demonstration_steps=0)

    def assert_cut_off(self, peer):
        try:
            while peer.recv(65536):
                pass
        except ConnectionError:
            pass

    @unittest.skipIf(os.environ.get("NUDGE_SANITIZE"), "sanitizers keep memory that was given back")
    def test_takes_no_more_of_the_daemons_memory_than_a_few_candidates(self):
        # Configured as the weights were trained, so that these say what its learner's hello says.
        daemon = self.daemon(None, "--set", "learner.restart_first_s=60",
                             "--set", "learner.base_steps=60")
        let_in = b"\nnudge_learner_confined 1\n"
        program.wait_until(lambda: let_in in daemon.request("GET", "/metrics")[1], "a learner")
        weights = (daemon.state / "weights/1.safetensors").read_bytes()
        size = int.from_bytes(weights[:8], "little")
        lineage = json.loads(json.loads(weights[8:8 + size])["__metadata__"]["lineage"])
        before = memory_mib(daemon.process.pid)

        stranger = self.connect(daemon)
        stranger.sendall(self.hello("0" * 64))
        try:
            stranger.sendall(self.candidate(1 << 20))
        except ConnectionError:
            pass
        self.assert_cut_off(stranger)

        peer = self.connect(daemon)
        peer.sendall(self.hello(lineage["config_hash"]))
        for _ in range(max(20, (600 << 20) // len(weights))):
            peer.sendall(self.candidate(len(weights)))
        # Somebody else may still be heard, however many say nothing.
        silent = [self.connect(daemon) for _ in range(50)]
        # One that is announced and never comes, and one that is too long.
        peer.sendall(self.candidate(len(weights))[:-1])
        other = self.connect(daemon)
        other.sendall(self.hello(lineage["config_hash"]))
        other.sendall(self.message("candidate", announced=256 << 20))
        self.assert_cut_off(other)
        self.assert_cut_off(peer)
        self.assertEqual(daemon.status()["state"], "HOLD")
        grown = memory_mib(daemon.process.pid) - before
        self.assertLess(grown, 100 + 8 * len(weights) / (1 << 20))
        del silent
        self.assertEqual(daemon.stop(), 0)


class Judged(unittest.TestCase):
    """What kill_campaign.py --learner calls a control loop that noticed."""

    QUIET = {"states": {"AUTO": 9}, "learner_kills": 10, "ticks_kills": 500, "missed_kills": 0,
             "ticks_quiet": 500, "missed_quiet": 0, "worst_work_ms": 0.9, "steps_lost": 0}

    def noticed(self, **changes):
        return kill_campaign.noticed({**self.QUIET, **changes})

    def test_a_quiet_run_and_one_on_a_busy_machine_pass(self):
        self.assertEqual(self.noticed(), [])
        self.assertEqual(self.noticed(missed_kills=60, missed_quiet=50), [])

    def test_two_ticks_missed_for_each_kill_do_not(self):
        self.assertRegex(self.noticed(missed_kills=20)[0], "20 of 500 ticks were missed")

    def test_long_ticks_lost_steps_and_a_robot_that_stopped_do_not(self):
        self.assertRegex(self.noticed(worst_work_ms=12.5)[0], "12.5 ms")
        self.assertRegex(self.noticed(steps_lost=1)[0], "1 steps")
        self.assertRegex(self.noticed(states={"AUTO": 9, "FAULT_HOLD": 1})[0], "FAULT_HOLD")


if __name__ == "__main__":
    program.main()
