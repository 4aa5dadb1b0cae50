#!/usr/bin/env python3
"""A log that is gone, cut off or older than it was, as its user has it: told, and never begun anew."""

import json
import pathlib
import shutil
import sqlite3
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))

import live_test
import program
from live_test import LiveCase
from program import events, nudge, wait_until

OK, DATA = 0, 65

prepared = program.Prepared()


def setUpModule():
    live_test.setUpModule()
    prepared.make()
    prepared.state = prepared.trained()


def tearDownModule():
    live_test.tearDownModule()
    prepared.drop()


def into_one_file(database):
    connection = sqlite3.connect(database)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


class LostLog(LiveCase):
    def setUp(self):
        super().setUp()
        self.state = self.copy_of(prepared.state)

    def labelled(self):
        """A daemon has run, has acknowledged a label and signed a head."""
        daemon = self.daemon(self.state)
        self.assertEqual(daemon.send("label", id="keep:1", episode=1, span=0, value="success")[0],
                         200)
        self.assertEqual(daemon.stop(), 0)
        into_one_file(self.state / "log/log.db")
        return {row["id"]: row["sequence"] for row in events(self.state)}

    def expect_kept(self, old):
        new = {row["id"]: row["sequence"] for row in events(self.state)}
        for name, sequence in old.items():
            self.assertEqual(new.get(name), sequence, name)
        self.check_whole(self.state)

    def test_a_salvage_that_a_crash_broke_off_between_its_two_names_is_finished(self):
        old = self.labelled()
        for signed in (True, False):
            with self.subTest(signed=signed):
                # What it leaves then: the old log has its new name, the new one not yet.
                shutil.copytree(self.state / "log", self.state / "log.salvaged")
                (self.state / "log").rename(self.state / "log.damaged-1")
                if not signed:
                    shutil.rmtree(self.state / "audit")
                daemon = self.daemon(self.state)
                self.assertIn("broken off", daemon.status()["alarm"])
                self.assertGreater(daemon.status()["weights"]["confirmed"], 0)
                self.assertEqual(daemon.stop(), 0)
                self.expect_kept(old)
                shutil.rmtree(self.state / "log.damaged-1")

    def test_by_commands_too(self):
        old = self.labelled()
        shutil.copytree(self.state / "log", self.state / "log.salvaged")
        (self.state / "log").rename(self.state / "log.damaged-1")
        self.check(nudge("log", "--state", self.state, "salvage"), OK, "whole")
        self.expect_kept(old)

    def test_a_log_that_is_gone_is_not_begun_anew(self):
        newest = max(self.labelled().values())
        for signed in (True, False):
            with self.subTest(signed=signed):
                shutil.rmtree(self.state / "log")
                if not signed:
                    shutil.rmtree(self.state / "audit")
                said = "signed head" if signed else "weights"
                self.check(nudge("train", "--state", self.state, "--record", 1), DATA, said,
                           "nudge log salvage")
                self.assertFalse((self.state / "log").exists())
                daemon = self.daemon(self.state)
                status = daemon.status()
                self.assertEqual(status["state"], "HOLD")
                self.assertIn("missing or empty", status["alarm"])
                self.assertEqual(status["weights"]["confirmed"], 0)
                self.assertEqual(daemon.stop(), 0)
                rows = events(self.state)
                if signed:
                    self.assertGreater(rows[-1]["sequence"], newest)
                self.assertIn("learning_paused", {row["kind"] for row in rows})
                self.check_whole(self.state)

    def test_salvage_makes_one_where_it_is_gone(self):
        self.labelled()
        shutil.rmtree(self.state / "log")
        done = self.check(nudge("log", "--state", self.state, "salvage", "--json"), OK).json()
        self.assertTrue(done["gone"])
        self.assertFalse(done["certain"])
        self.check_whole(self.state)

    def test_of_an_older_database_no_recorded_step_is_cut_off(self):
        # A long episode, in the midst of which the database is put back to what it was.
        daemon = self.daemon(self.state, "--set", "robot.episode_steps=100000", "--set",
                             "limits.clamps_to_hold=1023", "--set",
                             "limits.clamp_window_ticks=1024", "--no-learning")
        daemon.send("hand_back")
        daemon.wait_for("AUTO")
        log = self.state / "log"
        older = self.folder / "older.db"

        def runs(database):
            connection = sqlite3.connect(database)
            (steps,) = connection.execute("SELECT coalesce(max(last_sequence), 0) FROM runs "
                                          "WHERE episode = (SELECT max(episode) FROM segments)"
                                          ).fetchone()
            connection.close()
            return steps

        def copied():
            for suffix in ("", "-wal"):
                shutil.copy(f"{log}/log.db{suffix}", f"{older}{suffix}")
            into_one_file(older)
            return runs(older)

        wait_until(lambda: copied() > 0, "steps of this episode in the log")
        known = runs(older)
        time.sleep(1.5)
        self.assertEqual(daemon.stop(), 0)
        newest = events(self.state)[-1]["sequence"]
        for file in log.glob("log.db*"):
            file.unlink()
        shutil.copy(older, log / "log.db")
        segment = max((log / "segments").iterdir())
        size = segment.stat().st_size
        verified = self.check(nudge("log", "--state", self.state, "--json", "verify"), DATA).json()
        self.assertGreater(verified["first_bad"], known)
        self.check(nudge("weights", "--state", self.state, "promote", 1), DATA, "signed head")
        self.check(nudge("train", "--state", self.state, "--from", "log"), DATA, "signed head")
        self.assertEqual(segment.stat().st_size, size)
        again = self.daemon(self.state)
        self.assertIn("signed head", (self.state.parent / "state.err").read_text())
        self.assertNotEqual(again.status()["alarm"], "")
        self.assertEqual(again.stop(), 0)
        (aside,) = self.state.glob("log.damaged-*")
        self.assertEqual((aside / "segments" / segment.name).stat().st_size, size)
        self.assertGreater(runs(log / "log.db"), known + 10)
        self.assertGreater(events(self.state)[-1]["sequence"], newest)
        self.check_whole(self.state)

    def test_verify_compares_with_the_head_that_lies_beside_the_log(self):
        self.labelled()
        verify = ["log", "--state", self.state, "verify"]
        head = json.loads((self.state / "audit/head.json").read_text())["sequence"]
        self.check(nudge(*verify), OK, f"its own signed head of event {head}", "is whole")
        self.assertEqual(nudge(*verify, "--json").json()["own_head"], head)
        connection = sqlite3.connect(self.state / "log/log.db")
        connection.execute("DELETE FROM events WHERE sequence = (SELECT max(sequence) FROM events)")
        connection.commit()
        connection.close()
        outcome = self.check(nudge(*verify), DATA)
        self.assertIn("the log is cut off", outcome.out)
        self.assertIn(f"the first that is not as it was: {head}", outcome.out)
        self.assertEqual(nudge(*verify, "--json").json()["first_bad"], head)
        self.check(nudge("log", "--state", self.state, "salvage"), OK, "set aside")
        self.check_whole(self.state)
        self.assertGreater(nudge(*verify, "--json").json()["own_head"], head)

    def test_verify_says_when_the_head_beside_the_log_is_none(self):
        self.labelled()
        (self.state / "audit/head.json").write_text("nonsense\n")
        self.check(nudge("log", "--state", self.state, "verify"), OK, "no signed head",
                   "no head was given")


if __name__ == "__main__":
    program.main()
