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
from program import events, nudge, wait_until

OK, DATA, UNAVAILABLE, EXISTS = 0, 65, 69, 73

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

    def test_a_backup_holds_the_newest_signed_head_and_verifies_against_it(self):
        daemon = self.daemon(self.state)
        self.assertEqual(daemon.stop(), 0)
        done = nudge("log", "--state", self.state, "--json", "backup", self.copy)
        self.check(done, OK)
        self.assertTrue(done.json()["head"])
        heads = self.copy / "audit/head.json"
        self.assertEqual(heads.read_text().strip(),
                         (self.state / "audit/head.json").read_text().strip())
        self.check(nudge("log", "--state", self.copy, "verify", "--heads", heads), OK)
        # Restored, it is no log that was cut off.
        restored = self.folder / "restored"
        shutil.copytree(self.copy, restored)
        again = self.daemon(restored)
        self.assertEqual(again.status()["alarm"], "")
        self.assertEqual(again.stop(), 0)

    def test_keys_are_in_a_backup_only_when_they_are_asked_for(self):
        secrets = sorted(f.relative_to(self.state) for f in self.state.rglob("*.key"))
        self.assertIn(pathlib.Path("keys/signing.key"), secrets)
        self.check(nudge("log", "--state", self.state, "backup", self.copy), OK, "--keys")
        held = [f.read_bytes() for f in self.copy.rglob("*") if f.is_file()]
        for secret in secrets:
            bytes_of = (self.state / secret).read_bytes()
            self.assertFalse(any(bytes_of in data for data in held), secret)
        self.check(nudge("log", "--state", self.state, "backup", "--keys", self.copy), OK,
                   "keep it private")
        for secret in secrets:
            copied = self.copy / secret
            self.assertEqual(copied.read_bytes(), (self.state / secret).read_bytes())
            self.assertEqual(copied.stat().st_mode & 0o777, 0o600)
        # With its keys the copy boots the weights that were confirmed.
        daemon = self.daemon(self.copy)
        self.assertGreater(daemon.status()["weights"]["confirmed"], 0)
        daemon.send("hand_back")
        daemon.wait_for("AUTO")
        self.assertEqual(daemon.stop(), 0)

    def test_a_backup_into_the_state_folder_itself_is_refused(self):
        self.check(nudge("log", "--state", self.state, "backup", self.state), 64, "state folder")

    def test_after_a_salvage_the_backup_of_before_stays_and_a_new_folder_takes_the_new_log(self):
        self.check(nudge("log", "--state", self.state, "backup", self.copy), OK)
        before = events(self.copy)
        victim = sorted((self.state / "log/segments").iterdir())[0]
        ruin(victim, victim.stat().st_size // 2, 64)
        self.check(nudge("log", "--state", self.state, "salvage"), OK)
        for _ in range(2):
            self.check(nudge("log", "--state", self.state, "backup", self.copy), EXISTS,
                       "Name a new folder")
            self.check_whole(self.copy)
            self.assertEqual(events(self.copy), before)
        self.check(nudge("log", "--state", self.state, "backup", self.folder / "new"), OK)
        self.check_whole(self.folder / "new")

    def test_the_backup_of_another_robot_is_not_replaced(self):
        self.check(nudge("log", "--state", self.state, "backup", self.copy), OK)
        files = {f: f.read_bytes() for f in self.copy.rglob("*") if f.is_file()}
        other = self.folder / "other"
        self.check(nudge("train", "--state", other, "--record", 1, "--set",
                         "learner.base_steps=20"), OK)
        self.check(nudge("log", "--state", other, "backup", self.copy), EXISTS, "another")
        self.assertEqual({f: f.read_bytes() for f in self.copy.rglob("*") if f.is_file()}, files)

    def test_bytes_that_the_backups_disk_has_lost_come_back(self):
        self.check(nudge("log", "--state", self.state, "backup", self.copy), OK)
        segment = sorted((self.copy / "log/segments").iterdir())[0]
        weights = sorted((self.copy / "weights").glob("*.safetensors"))[0]
        for file in (segment, weights):
            whole = file.read_bytes()
            ruin(file, len(whole) // 2, 64)
            self.assertNotEqual(file.read_bytes(), whole)
            self.check(nudge("log", "--state", self.state, "backup", self.copy), OK, "is whole")
            self.assertEqual(file.read_bytes(), whole)

    def test_what_is_damaged_on_the_robot_since_stays_whole_in_the_backup(self):
        self.check(nudge("log", "--state", self.state, "backup", self.copy), OK)
        files = [sorted((self.state / "log/segments").iterdir())[0],
                 sorted((self.state / "weights").glob("*.safetensors"))[0]]
        whole = [file.read_bytes() for file in files]
        for file in files:
            ruin(file, file.stat().st_size // 2, 64)
        self.check(nudge("log", "--state", self.state, "backup", self.copy), DATA)
        for file, data in zip(files, whole):
            self.assertEqual((self.copy / file.relative_to(self.state)).read_bytes(), data)
        self.check_whole(self.copy)

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
        self.assertFalse(done.json()["certain"])
        added = [row for row in saved if row["id"].startswith("salvage") and
                 row["sequence"] > max(old)]
        known = len(saved) - len(added)
        self.assertEqual(known, done.json()["events"] + done.json()["lost"])
        for row in saved[:-1]:
            if not row["id"].startswith("salvage:"):
                self.assertEqual(row, old[row["sequence"]])
        self.assertEqual(report["steps"], done.json()["steps"])

    def test_without_a_database_that_can_be_read_the_steps_are_saved(self):
        ruin(self.state / "log/log.db", 0)
        outcome = nudge("log", "--state", self.state, "verify")
        self.check(outcome, DATA, "nudge log salvage")
        self.check(nudge("log", "--state", self.state, "salvage"), OK, "weights are promoted",
                   "learning is resumed")
        self.assertGreater(self.check_whole(self.state)["steps"], 0)


class DamagedAtTheStart(LiveCase):
    """The daemon finds its log damaged: it is set aside, and what can be read goes on."""

    def setUp(self):
        super().setUp()
        self.state = self.copy_of(prepared.state)
        connection = sqlite3.connect(self.state / "log/log.db")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        self.database = self.state / "log/log.db"

    def starts_with_an_alarm(self):
        daemon = self.daemon(self.state)
        status = daemon.status()
        self.assertEqual(status["state"], "HOLD")
        self.assertIn("nudge log salvage", status["alarm"])
        code, body = daemon.request("GET", "/readyz", token="")
        self.assertEqual(code, 503)
        self.assertIn("log was damaged", str(body))
        return daemon, status

    def test_by_what_is_lost_of_the_database_no_weights_run_and_nothing_is_learned(self):
        before = events(self.state)
        size = self.database.stat().st_size
        whole = self.database.read_bytes()
        for place in (0, 4096, size // 2 // 4096 * 4096, size - 4096):
            with self.subTest(place=place):
                self.database.write_bytes(whole)
                ruin(self.database, place)
                asides = set(self.state.glob("log.damaged-*"))
                daemon, status = self.starts_with_an_alarm()
                (aside,) = set(self.state.glob("log.damaged-*")) - asides
                self.assertTrue((aside / "log.db").exists())
                self.assertEqual(status["weights"], {"playing": 0, "live": 0, "kind": "",
                                                     "confirmed": 0})
                daemon.send("hand_back")
                for _ in range(5):
                    self.assertNotEqual(daemon.status()["state"], "AUTO")
                    time.sleep(0.1)
                wait_until(lambda: daemon.status()["learning"]["state"] == "paused",
                           "learning to be paused")
                self.assertEqual(daemon.stop(), 0)
                after = events(self.state)
                self.assertGreater(after[-1]["sequence"], before[-1]["sequence"])
                self.check_whole(self.state)
                # The next start is an ordinary one.
                again = self.daemon(self.state)
                self.assertEqual(again.status()["alarm"], "")
                self.assertEqual(again.stop(), 0)
                shutil.rmtree(self.state / "log")
                shutil.copytree(aside, self.state / "log")
                (self.state / "log/log.db-wal").unlink(missing_ok=True)

    def test_stop_outlives_it(self):
        daemon = self.daemon(self.state)
        self.assertEqual(daemon.send("stop")[0], 200)
        self.assertEqual(daemon.stop(), 0)
        (self.state / "log/log.db-wal").unlink(missing_ok=True)  # which may hold the same pages
        ruin(self.database, 0)
        again = self.daemon(self.state)
        self.assertEqual(again.status()["state"], "ESTOP")
        self.assertNotEqual(again.status()["alarm"], "")
        self.assertEqual(again.stop(), 0)

    def test_a_log_that_was_cut_back_to_an_older_one_is_found_by_its_signed_head(self):
        older = self.folder / "older"
        shutil.copytree(self.state / "log", older)
        daemon = self.daemon(self.state)
        self.assertEqual(daemon.send("label", episode=1, span=0, value="success")[0], 200)
        self.assertEqual(daemon.stop(), 0)
        newest = events(self.state)[-1]["sequence"]
        shutil.rmtree(self.state / "log")
        shutil.copytree(older, self.state / "log")
        daemon, status = self.starts_with_an_alarm()
        self.assertEqual(status["weights"]["confirmed"], 0)
        self.assertEqual(daemon.stop(), 0)
        self.assertGreater(events(self.state)[-1]["sequence"], newest)

    def test_a_damaged_segment_stays_and_is_told(self):
        victim = sorted((self.state / "log/segments").iterdir())[0]
        ruin(victim, victim.stat().st_size // 2, 64)
        daemon = self.daemon(self.state)
        self.assertIn("nudge log verify", daemon.status()["alarm"])
        self.assertGreater(daemon.status()["weights"]["confirmed"], 0)
        self.assertEqual(daemon.stop(), 0)
        self.assertTrue(victim.exists())


if __name__ == "__main__":
    program.main()
