#!/usr/bin/env python3
"""The frozen base head that weights edit (policy.reference = "base"): as well kept as they are."""

import pathlib
import struct
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))

import live_test
import program
from live_test import LiveCase, UNLIMITED
from program import nudge, wait_until

BASE = ["--set", "policy.reference=base"]
QUICK = [*BASE, "--set", "learner.base_steps=60"]

prepared = live_test.prepared


def setUpModule():
    prepared.make()
    state = prepared.folder / "based"
    outcome = nudge("train", "--state", state, "--record", 3, "--json", *QUICK)
    assert outcome.code == 0, str(outcome)


def tearDownModule():
    prepared.drop()


def base_of(state):
    files = list((state / "weights").glob("base-*.safetensors"))
    assert len(files) == 1, files
    return files[0]


def change(file):
    """Somebody else's numbers, in one of a hundred places."""
    content = bytearray(file.read_bytes())
    start = 8 + struct.unpack("<Q", content[:8])[0]
    for at in range(start, len(content) - 4, 4 * 97):
        content[at:at + 4] = struct.pack("<f", 0.5)
    file.write_bytes(content)


class BaseHead(LiveCase):
    def based(self, name="state"):
        return self.copy_of(prepared.folder / "based", name)

    def expect_works(self, state):
        daemon = self.daemon(state, *BASE, *UNLIMITED, "--no-learning")
        self.assertEqual(daemon.send("hand_back")[0], 200)
        wait_until(lambda: daemon.status()["weights"]["playing"] > 0, "an action of the policy")
        return daemon

    def expect_holds(self, state, why):
        daemon = self.daemon(state, *BASE, *UNLIMITED, "--no-learning")
        wait_until(lambda: "cannot be used" in daemon.errors(), "a word about it")
        self.assertIn(why, daemon.errors())
        daemon.send("hand_back")
        time.sleep(1)
        status = daemon.status()
        self.assertNotEqual(status["state"], "AUTO")
        self.assertEqual(status["weights"]["playing"], 0)
        self.assertEqual(daemon.stop(), 0)

    def test_drives_the_robot_after_training(self):
        self.assertEqual(self.expect_works(self.based()).stop(), 0)

    def test_that_was_changed_never_drives_it(self):
        state = self.based()
        change(base_of(state))
        self.expect_holds(state, "the base that they edit")

    def test_that_is_gone_is_missed_at_the_start(self):
        state = self.based()
        base_of(state).unlink()
        self.expect_holds(state, "the base that they edit")

    def test_that_nobody_signed_never_drives_it(self):
        state = self.based()
        base_of(state).with_suffix("").with_suffix(".manifest.json").unlink()
        self.expect_holds(state, "no signed manifest")

    def test_is_in_a_backup_and_the_restored_robot_works(self):
        state, backup = self.based(), self.folder / "backup"
        self.check(nudge("log", "--state", state, "backup", "--keys", backup), 0, "is whole")
        self.assertEqual(base_of(backup).read_bytes(), base_of(state).read_bytes())
        self.assertEqual(self.expect_works(backup).stop(), 0)

    def test_that_was_changed_is_found_by_a_backup(self):
        state, backup = self.based(), self.folder / "backup"
        change(base_of(state))
        outcome = nudge("log", "--state", state, "backup", "--keys", backup)
        self.assertEqual(outcome.code, 65, str(outcome))
        self.assertIn("the base that weights edit, was changed", outcome.out, str(outcome))

    def test_that_was_changed_is_neither_promoted_nor_evaluated(self):
        state = self.based()
        change(base_of(state))
        for command in (["weights", "--state", state, "promote", 1],
                        [*BASE, "eval", "--state", state, "--starts", 1]):
            self.check(nudge(*command), 65, "base")

    def test_of_a_new_training_goes_back_with_the_version_that_edits_it(self):
        state = self.based()
        old = base_of(state)
        self.check(nudge("train", "--state", state, *QUICK, "--seed", 9), 0)
        self.assertEqual(len(list((state / "weights").glob("base-*.safetensors"))), 2)
        self.assertTrue(old.exists())
        daemon = self.expect_works(state)
        self.assertEqual(daemon.status()["weights"]["playing"], 2)
        self.assertEqual(daemon.stop(), 0)
        new = next(f for f in (state / "weights").glob("base-*.safetensors") if f != old)
        change(new)  # and the old version minds nothing of it
        self.check(nudge("weights", "--state", state, "promote", 1), 0)
        daemon = self.expect_works(state)
        self.assertEqual(daemon.status()["weights"]["playing"], 1)
        self.assertEqual(daemon.stop(), 0)


if __name__ == "__main__":
    program.main()
