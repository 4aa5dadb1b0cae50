#!/usr/bin/env python3
"""Backups, and what is saved of a damaged log, as their user has them."""

import pathlib
import shutil
import sqlite3
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))

import live_test
import program
from live_test import LiveCase
from program import events, nudge

OK, DATA, UNAVAILABLE = 0, 65, 69

prepared = program.Prepared()


def setUpModule():
    prepared.make()
    prepared.state = prepared.worked()


def tearDownModule():
    prepared.drop()


def ruin(file, at, size=4096):
    with open(file, "r+b") as disk:
        disk.seek(at)
        disk.write(b"Z" * size)


class Copies(LiveCase):
    def setUp(self):
        super().setUp()
        self.state = self.copy_of(prepared.state)
        self.copy = self.folder / "backup"
        connection = sqlite3.connect(self.state / "log/log.db")  # all into one file
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()

    def test_a_backup_is_a_state_folder_and_the_next_one_copies_only_what_is_new(self):
        first = nudge("log", "--state", self.state, "--json", "backup", self.copy)
        self.check(first, OK)
        self.assertGreater(first.json()["copied_segments"], 0)
        self.assertEqual(events(self.copy), events(self.state))
        self.assertEqual(self.copy.stat().st_mode & 0o777, 0o700)
        second = nudge("log", "--state", self.state, "--json", "backup", self.copy)
        self.assertEqual(second.json()["copied_segments"], 0)
        rows = [nudge("weights", "--state", state, "--json", "ls").json()
                for state in (self.copy, self.state)]
        self.assertEqual(*rows)
        restored = self.folder / "restored"
        shutil.copytree(self.copy, restored)
        self.check(nudge("eval", "--state", restored, "--starts", 1), OK)
        self.check_whole(restored)

    def test_a_backup_into_the_state_folder_itself_is_refused(self):
        self.check(nudge("log", "--state", self.state, "backup", self.state), 64, "state folder")

    def test_a_backup_while_the_robot_works_holds_what_was_acknowledged_before(self):
        daemon = self.daemon(self.state)
        daemon.send("hand_back")
        daemon.wait_for("AUTO")
        over, kept = threading.Event(), []

        def talk():
            while not over.is_set():
                name = f"copies:{len(kept)}"
                if daemon.send("words", id=name, text="well done", meant="comment")[0] == 200:
                    kept.append(name)
        talker = threading.Thread(target=talk)
        talker.start()
        try:
            for _ in range(3):
                time.sleep(0.5)
                before = list(kept)
                self.check(nudge("log", "--state", self.state, "backup", self.copy), OK,
                           "is whole")
                found = [event["id"] for event in events(self.copy)]
                for name in before:
                    self.assertEqual(found.count(name), 1)
                self.assertIn(daemon.status()["state"], ("AUTO", "HANDBACK", "HOLD"))
        finally:
            over.set()
            talker.join()
        self.check(nudge("log", "--state", self.state, "salvage"), UNAVAILABLE, "in use")
        self.assertEqual(daemon.stop(), 0)
        self.assertFalse((self.state / "log/snapshot.db").exists())

    def test_a_whole_log_needs_no_salvage(self):
        self.check(nudge("log", "--state", self.state, "salvage"), OK, "nothing to salvage")
        self.assertEqual(len(list(self.state.glob("log.*"))), 0)

    def test_of_a_damaged_log_all_that_can_be_read_is_saved_and_it_goes_on(self):
        old = {row["sequence"]: row for row in events(self.state)}
        database = self.state / "log/log.db"
        ruin(database, database.stat().st_size // 8192 * 4096)
        done = nudge("log", "--state", self.state, "--json", "salvage")
        self.check(done, OK)
        self.assertTrue((pathlib.Path(done.json()["set_aside"]) / "log.db").exists())
        report = self.check_whole(self.state)
        saved = events(self.state)
        self.assertEqual(len(saved), done.json()["events"] + done.json()["lost"] + 1)
        for row in saved[:-1]:
            if not row["id"].startswith("salvage:"):
                self.assertEqual(row, old[row["sequence"]])
        self.assertEqual(report["steps"], done.json()["steps"])

    def test_without_a_database_that_can_be_read_the_steps_are_saved(self):
        ruin(self.state / "log/log.db", 0)
        outcome = nudge("log", "--state", self.state, "verify")
        self.check(outcome, DATA, "nudge log salvage")
        self.check(nudge("log", "--state", self.state, "salvage"), OK, "weights are promoted")
        self.assertGreater(self.check_whole(self.state)["steps"], 0)


if __name__ == "__main__":
    program.main()
