#!/usr/bin/env python3
"""`nudge train --nightly`: killed at each stage it ends as if nobody had; its report; its answers."""

import json
import signal
import unittest

import program
from program import Case, Prepared, end, nudge, start, wait_until

# Over before the scripted supervisor would help: what a policy that knows little does alone fails,
# and is labelled so.
ALONE = ["--headless", "--real-time", "0", "--episodes", "8", "--corrected", "8",
         "--set", "demo.starts=1", "--set", "demo.stall_s=60", "--set", "robot.episode_steps=20",
         "--set", "demo.demonstrations=6",
         "--set", "learner.base_steps=60",
         "--set", "learner.nice=0"]
# Legs of 60 steps, so that there is something to interrupt.
SHORT = ["--set", "nightly.advantage=true", "--set", "nightly.steps=180", "--set", "nightly.value_steps=40",
         "--set", "nightly.starts=3", "--set", "learner.full_steps=60",
         "--set", "learner.base_steps=60"]

prepared = Prepared()


def setUpModule():
    prepared.make()
    out = prepared.folder / "alone"
    outcome = nudge("demo", "--out", out, *ALONE)
    if outcome.code not in (0, 1):
        raise AssertionError(str(outcome))
    prepared.state = out / "state"


def tearDownModule():
    prepared.drop()


def nightly(state, *more):
    return nudge("train", "--state", state, "--nightly", *SHORT, *more)


def report(state):
    found = json.loads((state / "nightly" / "report.json").read_text())
    found.pop("report")
    return found


def confirmed(state):
    rows = nudge("weights", "--state", state, "--json", "ls").json()
    return next(row["version"] for row in rows if "boots" in row["state"])


class Nightly(Case):
    def test_killed_at_each_stage_it_ends_as_one_that_was_not(self):
        whole, pieces = self.copy_of(prepared.state, "whole"), self.copy_of(prepared.state, "pieces")
        outcome = nightly(whole, "--json")
        self.assertEqual(outcome.code, 0, str(outcome))
        expected = outcome.json()
        self.assertEqual(expected["about_advantage"], "", str(outcome))
        folder = pieces / "nightly"
        for stage in ("plan.json", "value-0.safetensors", "value-3.safetensors",
                      "confirmed-60.safetensors", "confirmed-180.safetensors",
                      "scratch-120.safetensors", "candidate.safetensors", "before.json",
                      "after-*.json", "verdict-*.json"):
            process = start("train", "--state", pieces, "--nightly", *SHORT)
            try:
                # It may be past the stage before we look; then it ends, or a later one is there.
                wait_until(lambda: any(folder.glob(stage)) or process.poll() is not None
                           or (folder / "report.html").exists(), stage, 300)
            finally:
                end(process)
        outcome = nightly(pieces, "--json")
        self.assertEqual(outcome.code, 0, str(outcome))
        self.assertEqual(report(pieces), report(whole))
        version = expected["version"]
        if version is not None:
            name = f"weights/{version}.safetensors"
            self.assertEqual((pieces / name).read_bytes(), (whole / name).read_bytes())
            self.assertFalse((pieces / f"weights/{version + 1}.safetensors").exists())
        self.assertEqual(sorted(path.name for path in folder.iterdir()),
                         ["plan.json", "report.html", "report.json"])
        self.check_whole(pieces)

    def test_a_signal_ends_it_cleanly_and_the_next_run_goes_on(self):
        state = self.copy_of(prepared.state)
        process = start("train", "--state", state, "--nightly", *SHORT)
        try:
            wait_until(lambda: (state / "nightly/value-0.safetensors").exists(), "a stage", 300)
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(60), 75)
        finally:
            end(process)
        self.assertTrue((state / "nightly/value-0.safetensors").exists())
        self.check(nightly(state), 0, "report: ")

    def test_says_what_became_of_it_and_leaves_a_page_that_loads_nothing(self):
        state = self.copy_of(prepared.state)
        before = confirmed(state)
        found = nightly(state, "--json").json()
        self.assertIn(found["outcome"], ("promoted", "refused"))
        self.assertEqual(found["learned_from"]["demonstrations"], 6)
        self.assertGreaterEqual(found["learned_from"]["failures"], 5)
        self.assertEqual(found["simulation"][0]["starts"], 3)
        self.assertEqual(confirmed(state),
                         found["version"] if found["outcome"] == "promoted" else before)
        page = (state / "nightly/report.html").read_text()
        for part in ("Success in simulation", "Who taught", "expected return", "<svg"):
            self.assertIn(part, page)
        for part in ("<script", "http:", "https:", "src="):
            self.assertNotIn(part, page)
        self.check(nightly(state), 0, "nothing new since the last nightly training")

    def test_needs_the_log_for_itself_and_flags_that_go_together(self):
        state = self.copy_of(prepared.state)
        self.check(nudge("train", "--nightly", "--record", 3, "--state", state), 64)
        self.check(nudge("train", "--nightly", "--state", self.folder / "nothing"), 66,
                   "there is no log")


if __name__ == "__main__":
    program.main()
