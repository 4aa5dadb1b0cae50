#!/usr/bin/env python3
"""The daemon dies at any moment: what it had committed stays, and it wakes up holding.

The log's own tests prove that every acknowledgement survives a kill (test/replay); here the whole
program is killed, learner, weights folder and all.
"""

import os
import pathlib
import random
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))

import boots
import program
from program import Case, LONG, Prepared, SHORT_DEMO, nudge

SEED = int(os.environ.get("NUDGE_SEED", "1"))  # of the moments
KILLS = int(os.environ.get("NUDGE_KILLS", "200" if LONG else "4"))
KILLS_BEFORE_WEIGHTS = 30 if LONG else 2

prepared = Prepared()


def setUpModule():
    prepared.make()
    prepared.state = prepared.trained()


def tearDownModule():
    prepared.drop()


class Killed(Case):
    def setUp(self):
        super().setUp()
        self.random = random.Random(SEED)
        self.out = self.folder / "demo"
        self.state = self.out / "state"
        self.known = []  # events that some reader has seen

    def start(self, *more):
        return program.start("demo", *SHORT_DEMO, "--out", self.out, "--episodes", 1000,
                             "--corrected", 1000, *more)

    def kill(self, daemon):
        daemon.kill()
        self.assertEqual(daemon.wait(), -9, "it ended by itself before it was killed")
        program.wait_until(lambda: not program.learners(self.state), "the learner to end", 10)

    def look(self):
        """After each kill: whole, nothing lost, nothing twice."""
        report = self.check_whole(self.state)
        rows = program.events(self.state)
        self.assertEqual(rows[:len(self.known)], self.known, "events that were seen are gone")
        ids = [row["id"] for row in rows]
        self.assertEqual(len(ids), len(set(ids)), "an event is there twice")
        sequences = [row["sequence"] for row in rows]
        self.assertEqual(sequences, sorted(set(sequences)))
        if rows:
            self.assertGreaterEqual(report["last_sequence"], sequences[-1])
        self.known = rows
        return rows

    def check_boots(self, rows):
        """The state machine of every boot starts in HOLD."""
        for row in boots.first_changes(rows):
            self.assertEqual(row["payload"]["from"], boots.HOLD, row)

    def test_at_work_nothing_is_lost_and_it_wakes_up_holding_with_confirmed_weights(self):
        self.out.mkdir()
        self.copy_of(prepared.state, "demo/state")
        (self.out / ".nudge-demo").write_text("")
        self.look()
        for i in range(KILLS):
            with self.subTest(kill=i, seed=SEED):
                begun = len(self.known)
                daemon = self.start("--continue")
                if self.random.random() < 0.25:
                    time.sleep(self.random.uniform(0.05, 1.5))  # while it starts, perhaps
                else:
                    segments = self.state / "log/segments"
                    count = len(os.listdir(segments))
                    program.wait_until(lambda: len(os.listdir(segments)) > count,
                                       "an episode to start")
                    time.sleep(self.random.uniform(0, 2.5))
                self.kill(daemon)
                rows = self.look()
                for row in rows[begun:]:
                    self.assertNotIn(row["kind"], ("fault",), row)
        booted = [row for row in self.known if row["kind"] == "booted"]
        self.assertGreater(len(booted), KILLS // 2)  # most kills came when it was at work
        self.check_boots(self.known)
        pairs = boots.first_versions(self.known)
        self.assertGreater(len(pairs), KILLS // 3)
        for ran, confirmed in pairs:
            self.assertEqual(ran, confirmed)
        # And it still works.
        outcome = nudge("demo", *SHORT_DEMO, "--out", self.out, "--episodes", 1, "--continue")
        self.assertIn(outcome.code, (0, 1), str(outcome))
        self.look()

    def test_before_it_has_weights_it_goes_on_where_it_was(self):
        daemon = self.start()
        for i in range(KILLS_BEFORE_WEIGHTS):
            with self.subTest(kill=i, seed=SEED):
                program.wait_until((self.state / "log/log.db").exists, "a log")
                time.sleep(self.random.uniform(0, 1))
                self.kill(daemon)
                self.look()
                daemon = self.start("--continue")
        self.kill(daemon)
        outcome = nudge("demo", *SHORT_DEMO, "--out", self.out, "--episodes", 1, "--continue")
        self.assertIn(outcome.code, (0, 1), str(outcome))
        rows = self.look()
        self.assertIn("weights_promoted", [row["kind"] for row in rows])


if __name__ == "__main__":
    program.main()
