#!/usr/bin/env python3
"""The daemon dies before any one of its calls on files while it takes up weights of its learner,
confirms, promotes or takes them back: what boots next is what was, or what was to be, whole and
confirmed, and what was acknowledged is so."""

import hashlib
import http.client
import json
import os
import pathlib
import shutil
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))

import faulty_calls
import live_test
import program
from live_test import Daemon, LiveCase, UNLIMITED
from people import Person
from program import LONG, PATIENCE, events, free_port, nudge, wait_until

KILLS = 10_000 if LONG else 1  # of each act: evenly spread, one behind its calls; one: amid them
MOMENT = 5  # s, for the rest of what an act writes
GONE = (OSError, http.client.HTTPException, json.JSONDecodeError)  # the daemon, while we asked
# Quick rounds, and what is never the fault of quick weights: this is not about how good they are.
QUICK = ["--set", "learner.full_steps=20", "--set", "probation.latency_ms=1000", *UNLIMITED]
LEARN = ["--set", "robot.episode_steps=20"]  # a full round begins when an episode ends
SOON = ["--set", "probation.episodes=1", "--set", "probation.min_steps=1", "--set", "probation.doubt=0",
        "--set", "probation.confidence=0.9999", *LEARN]
NOT_YET = ["--set", "probation.episodes=1000", *LEARN]
WATCH = ["--no-learning"]

prepared = live_test.prepared


def setUpModule():
    prepared.make()
    faulty_calls.build(prepared.folder)
    corrected(prepared.trained())
    prepared.second = accepted(prepared.folder / "trained")
    prepared.promoted = promoted(prepared.second)


def tearDownModule():
    prepared.drop()


def copied(state, name):
    return shutil.copytree(state, prepared.folder / name / "state",
                           ignore=shutil.ignore_patterns("ballast"))


def start(daemon):
    def started():
        status = daemon.status()
        if status["state"] == "FAULT_HOLD":  # a machine that stalls is no fault here
            daemon.send("reset_fault")
        return status["state"] == "AUTO" or daemon.send("hand_back")[0] == 200
    wait_until(started, "the start")


def corrected(state):
    """The log of first weights gets a correction that nobody has learned from yet."""
    port = free_port()
    daemon = Daemon(state, *QUICK, *WATCH, "--set", f"ports.teleop={port}")
    try:
        start(daemon)
        tokens = json.loads((state / "run/tokens.json").read_text())["tokens"]
        person = Person("teleop", port=port, token=tokens["supervisor"])

        def taken():
            if person.state and person.state["mine"]:
                return True
            person.tell("takeover")
            time.sleep(0.5)
            return False
        wait_until(taken, "a takeover")
        person.drive(person.state["epoch"])
        daemon.wait_for("HUMAN")
        time.sleep(2.5)
        person.tell("hand_back")
        wait_until(lambda: daemon.status()["state"] != "HUMAN", "the end of the drive")
        person.leave()
        daemon.stop()
    finally:
        daemon.process.poll() is None and daemon.kill()


def versions_of(state):
    return nudge("weights", "--state", state, "--json", "ls").json()


def accepted(state):
    """The same, with a full version that was accepted and not confirmed."""
    state = copied(state, "accepted")
    daemon = Daemon(state, *QUICK, *NOT_YET)
    try:
        start(daemon)
        wait_until(lambda: daemon.status()["weights"]["live"] == 2, "v2", PATIENCE)
        daemon.stop()
    finally:
        daemon.process.poll() is None and daemon.kill()
    rows = versions_of(state)
    assert [row["kind"] for row in rows[:2]] == ["full", "full"], rows
    return state


def promoted(state):
    state = copied(state, "promoted")
    outcome = nudge("weights", "--state", state, "promote", 2)
    assert outcome.code == 0, str(outcome)
    return state


class SwapKilled(LiveCase):
    def setUp(self):
        super().setUp()
        self.plan = faulty_calls.Plan(self.folder / "plan")

    def begin(self, original, *arguments):
        scratch = pathlib.Path(tempfile.mkdtemp(prefix="at-", dir=self.folder))
        state = self.copy_of(original, f"{scratch.name}/state")
        os.environ.update(self.plan.environment())
        try:
            return self.daemon(state, *QUICK, *arguments)
        finally:
            for name in self.plan.environment():
                os.environ.pop(name)

    def boots(self, state):
        """The version that boots: whole, and one that the log calls confirmed."""
        self.check_whole(state)
        booting = [row for row in versions_of(state) if "boots" in row["state"]]
        self.assertEqual(len(booting), 1, booting)
        version = booting[0]["version"]
        content = (state / f"weights/{version}.safetensors").read_bytes()
        self.assertEqual(hashlib.sha256(content).hexdigest(), booting[0]["hash"])
        confirmed = [row["payload"]["version"] for row in events(state)
                     if row["kind"] in ("weights_promoted", "weights_confirmed")]
        self.assertIn(version, confirmed)
        again = self.daemon(state, *QUICK, *WATCH)
        self.assertNotIn("cannot be used", again.errors())
        self.assertEqual(again.status()["weights"]["confirmed"], version)
        start(again)
        wait_until(lambda: again.status()["weights"]["playing"] == version, "its first action")
        self.assertEqual(again.stop(), 0)
        return version

    def at_every_call(self, act, original, arguments, pattern, trigger, do, may_boot):
        """`do(daemon)` says, in the end, whether the act was acknowledged; it may be cut off."""
        daemon = self.begin(original, *arguments)
        self.plan.watch(str(daemon.state) + pattern, process=daemon.process.pid, trigger=trigger)
        self.assertTrue(do(daemon))
        calls = self.plan.calls
        self.plan.end()
        daemon.stop()
        self.assertGreater(calls, 3)
        seen, kills = {}, 0
        moments = [i / (KILLS - 1) for i in range(KILLS)] if KILLS > 1 else [0.5]
        for call in {1 + round(calls * moment) for moment in moments}:
            with self.subTest(act=act, call=call, of=calls):
                daemon = self.begin(original, *arguments)
                self.plan.kill(str(daemon.state) + pattern, call, process=daemon.process.pid,
                               trigger=trigger)
                try:
                    done = do(daemon)
                except GONE:
                    done = False
                # How the log is written depends on time: one of the last calls may not come at all.
                try:
                    wait_until(lambda: daemon.process.poll() is not None, "the kill", MOMENT)
                except AssertionError:
                    self.assertTrue(done, daemon.errors())
                self.plan.end()
                daemon.kill()
                self.assertEqual(daemon.process.returncode, -9)
                kills += 1
                version = self.boots(daemon.state)
                self.assertIn(version, may_boot)
                if done:
                    self.assertEqual(version, may_boot[-1], "it was acknowledged")
                seen[version] = seen.get(version, 0) + 1
        if KILLS > 1:
            self.assertEqual(sorted(seen), sorted(may_boot))
        if LONG or os.environ.get("NUDGE_FIGURES"):
            told = ", ".join(f"v{version} booted {n} times" for version, n in sorted(seen.items()))
            print(f"{act}: {calls} calls, {kills} kills, {told}", file=sys.stderr)

    def until(self, condition):
        def do(daemon):
            start(daemon)
            wait_until(lambda: condition(daemon.status()["weights"]), "the act", PATIENCE)
            return True
        return do

    def test_publishing_what_the_learner_made(self):
        self.at_every_call("publish", prepared.folder / "trained", NOT_YET, "/weights/", "",
                           self.until(lambda weights: weights["live"] == 2), [1])

    def test_swapping_it_in(self):
        self.at_every_call("swap", prepared.folder / "trained", NOT_YET, "/",
                           "/weights/2.manifest.json",
                           self.until(lambda weights: weights["live"] == 2), [1])

    def test_confirming_after_probation(self):
        self.at_every_call("confirm", prepared.folder / "trained", SOON, "/", "weights_confirmed",
                           self.until(lambda weights: weights["confirmed"] == 2), [1, 2])

    def test_promoting(self):
        def do(daemon):
            return daemon.send("promote", id="swap-kill:promote", version=2)[0] == 200
        self.at_every_call("promote", prepared.second, WATCH, "/", "swap-kill:promote", do, [1, 2])

    def test_rolling_back(self):
        def do(daemon):
            return daemon.send("roll_back", id="swap-kill:roll-back")[0] == 200
        self.at_every_call("roll back", prepared.promoted, WATCH, "/", "swap-kill:roll-back", do,
                           [2, 1])


if __name__ == "__main__":
    program.main()
