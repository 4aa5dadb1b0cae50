#!/usr/bin/env python3
"""Files that are damaged, cut, swapped or from a newer version: named, never trusted, never a crash."""

import hashlib
import os
import pathlib
import random
import shutil
import sqlite3
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))

import program
from program import Case, LONG, Prepared, SHORT_DEMO, nudge

SEED = int(os.environ.get("NUDGE_SEED", "1"))
FLIPS = 200 if LONG else 5
OK, DATA, NOT_OURS = 0, 65, 77

prepared = Prepared()


def setUpModule():
    prepared.make()
    prepared.out = prepared.folder / "worked"
    prepared.state = prepared.worked("worked")


def tearDownModule():
    prepared.drop()


def flip(file, at, count=1):
    data = bytearray(file.read_bytes())
    for i in range(at, at + count):
        data[i] ^= 0xff
    file.write_bytes(data)


def hashes(folder):
    return {file.relative_to(folder): hashlib.sha256(file.read_bytes()).hexdigest()
            for file in folder.rglob("*") if file.is_file() and file.name != "lock"}


class Damage(Case):
    def setUp(self):
        super().setUp()
        self.out = self.folder / "demo"
        self.out.mkdir()
        self.state = self.copy_of(prepared.state, "demo/state")
        (self.out / ".nudge-demo").write_text("")
        self.database = self.state / "log/log.db"
        self.segments = sorted((self.state / "log/segments").iterdir())
        self.close_database()

    def close_database(self):
        """Everything into log.db, so that damage there is not covered by the write-ahead log."""
        connection = sqlite3.connect(self.database)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()

    def reading(self):
        state = ["--state", self.state]
        return [["log", *state, "ls"], ["log", *state, "verify"], ["log", *state, "tail"],
                ["weights", *state, "ls"], ["eval", *state, "--starts", 1]]

    def writing(self):
        return [["train", "--state", self.state], ["weights", "--state", self.state, "promote", 1],
                ["weights", "--state", self.state, "rollback"], self.go_on()]

    def go_on(self, episodes=1):
        return ["demo", *SHORT_DEMO, "--out", self.out, "--continue", "--episodes", episodes]


class Database(Damage):
    def test_a_damaged_header_is_told_with_what_to_do_and_nothing_is_touched(self):
        flip(self.database, 0, 16)
        before = hashes(self.state / "log")
        for arguments in [*self.reading(), *self.writing()]:
            with self.subTest(arguments=arguments):
                self.check(nudge(*arguments), DATA, "log.db")
        self.assertEqual(hashes(self.state / "log"), before)

    def test_damage_in_the_middle_never_crashes_anything(self):
        whole = self.database.read_bytes()
        moments = random.Random(SEED)
        found = 0
        for i in range(FLIPS):
            at = moments.randrange(100, len(whole) - 64)
            with self.subTest(at=at, seed=SEED):
                self.database.write_bytes(whole)
                flip(self.database, at, 64)
                for arguments in self.reading()[:2]:
                    outcome = nudge(*arguments)
                    self.assertIn(outcome.code, (OK, DATA), str(outcome))
                    self.assertNotIn("internal error", outcome.err)
                found += outcome.code == DATA
        self.assertGreater(found, 0)  # the rest hit free space

    def test_a_database_that_is_cut_short_is_told(self):
        os.truncate(self.database, self.database.stat().st_size // 2)
        for arguments in [["log", "--state", self.state, "verify"], self.go_on()]:
            with self.subTest(arguments=arguments):
                self.check(nudge(*arguments), DATA, "log.db")

    def test_one_of_a_newer_version_is_refused_and_nothing_is_touched(self):
        connection = sqlite3.connect(self.database)
        connection.execute("PRAGMA user_version = 99")
        connection.close()
        before = hashes(self.state)
        for arguments in [*self.reading(), *self.writing()]:
            with self.subTest(arguments=arguments):
                self.check(nudge(*arguments), DATA, "log.db", "newer version", "99")
        after = hashes(self.state)
        after.pop(pathlib.Path("nudge.log"), None)  # what the program itself said
        before.pop(pathlib.Path("nudge.log"), None)
        self.assertEqual(after, before)


class Segments(Damage):
    def test_a_damaged_segment_is_named_and_the_rest_can_be_used(self):
        victim = self.segments[-1]
        flip(victim, victim.stat().st_size // 2)
        outcome = nudge("log", "--state", self.state, "verify")
        self.assertEqual(outcome.code, DATA, str(outcome))
        self.assertIn(victim.name, outcome.out)
        self.assertIn("the log is damaged", outcome.out)
        report = nudge("log", "--state", self.state, "--json", "verify")
        self.assertEqual(report.code, DATA)
        self.assertFalse(report.json()["ok"])
        self.assertIn(victim.name, report.json()["problems"][0])
        # The robot works on with what is left, and says what it does without.
        outcome = nudge(*self.go_on())
        self.assertIn(outcome.code, (0, 1), str(outcome))
        self.assertIn(victim.name, outcome.out + outcome.err)

    def test_a_segment_that_is_gone_is_named_when_the_robot_starts(self):
        self.segments[1].unlink()
        outcome = nudge(*self.go_on())
        self.assertIn(outcome.code, (0, 1), str(outcome))
        self.assertIn(f"{self.segments[1].name}: missing", outcome.out + outcome.err)

    def test_segments_that_are_cut_or_gone_are_named(self):
        for harm in (lambda file: os.truncate(file, file.stat().st_size // 2),
                     lambda file: os.truncate(file, 0), os.unlink):
            with self.subTest():
                victim = self.segments[1]
                kept = victim.read_bytes()
                harm(victim)
                outcome = nudge("log", "--state", self.state, "verify")
                self.assertEqual(outcome.code, DATA, str(outcome))
                self.assertIn(victim.name, outcome.out)
                victim.write_bytes(kept)

    def test_damage_anywhere_in_a_segment_is_found(self):
        victim = self.segments[0]
        whole = victim.read_bytes()
        moments = random.Random(SEED)
        for _ in range(FLIPS):
            at = moments.randrange(len(whole))
            with self.subTest(at=at, seed=SEED):
                victim.write_bytes(whole)
                flip(victim, at)
                outcome = nudge("log", "--state", self.state, "--json", "verify")
                self.assertEqual(outcome.code, DATA, str(outcome))


class Weights(Damage):
    """Weights that are not what was confirmed do not move the robot."""

    def setUp(self):
        super().setUp()
        rows = nudge("weights", "--state", self.state, "--json", "ls").json()
        self.confirmed = next(row["version"] for row in rows if "boots" in row["state"])
        self.file = self.state / f"weights/{self.confirmed}.safetensors"
        self.manifest = self.state / f"weights/{self.confirmed}.manifest.json"

    def holds(self, *said):
        known = len(program.events(self.state))
        outcome = nudge(*self.go_on())
        # There may be newer weights on probation, which are measured; the robot holds all the same.
        self.assertIn(outcome.code, (0, 1, DATA, NOT_OURS), str(outcome))
        for text in ("the confirmed weights v", "the robot holds until others are promoted", *said):
            self.assertIn(text, outcome.out + outcome.err, str(outcome))
        rows = program.events(self.state)[known:]
        faults = [row for row in rows if row["kind"] == "fault"]
        self.assertEqual([row["payload"]["code"] for row in faults], ["weights"])
        learned = [row["payload"]["version"] for row in rows if row["kind"] == "weights_accepted"]
        ran = [row["payload"]["version"] for row in rows if row["kind"] == "weights_live"]
        self.assertLessEqual(set(ran), set(learned))
        self.check_whole(self.state)

    def test_a_damaged_file_holds_the_robot(self):
        flip(self.file, self.file.stat().st_size - 1000)
        self.holds("hash")

    def test_a_file_that_is_cut_holds_the_robot(self):
        os.truncate(self.file, 1000)
        self.holds("1000 bytes")

    def test_a_file_that_is_gone_holds_the_robot(self):
        self.file.unlink()
        self.holds("no weights file")

    def test_a_manifest_that_is_cut_holds_the_robot(self):
        os.truncate(self.manifest, self.manifest.stat().st_size // 2)
        self.holds("manifest")

    def test_a_manifest_that_is_gone_holds_the_robot(self):
        self.manifest.unlink()
        self.holds()

    def test_a_manifest_that_was_changed_holds_the_robot(self):
        text = self.manifest.read_text()
        self.assertIn('"robot"', text)
        self.manifest.write_text(text.replace('"robot"', '"robit"', 1))
        self.holds("manifest")

    def test_files_of_another_version_hold_the_robot(self):
        others = [f for f in (self.state / "weights").glob("*.safetensors") if f != self.file]
        if not others:
            self.skipTest("no other weights were accepted in this run")
        shutil.copy(others[0], self.file)
        self.holds()

    def test_another_signing_key_holds_the_robot(self):
        (self.state / "keys/signing.key").unlink()
        self.holds()

    def test_an_evaluation_of_damaged_weights_is_refused(self):
        flip(self.file, self.file.stat().st_size - 1000)
        outcome = nudge("eval", "--state", self.state, "--version-number", self.confirmed)
        self.check(outcome, DATA, self.file.name)

    def test_weights_that_were_published_but_never_logged_block_nothing(self):
        # What a crash between publishing and logging leaves behind.
        newest = max(int(f.name.split(".")[0])
                     for f in (self.state / "weights").glob("*.safetensors"))
        for suffix in (".safetensors", ".manifest.json"):
            shutil.copy(self.state / f"weights/{newest}{suffix}",
                        self.state / f"weights/{newest + 1}{suffix}")
        self.check(nudge("train", "--state", self.state, "--from", "log",
                         "--set", "learner.base_steps=60"), OK, f"v{newest + 2}")
        self.assertIn(nudge(*self.go_on()).code, (0, 1))


if __name__ == "__main__":
    program.main()
