#!/usr/bin/env python3
"""The program dies before any one of its calls on files while weights are published, promoted or
rolled back: what boots next is what was, or what was to be, whole and confirmed."""

import hashlib
import os
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))

import faulty_calls
import program
from program import Case, LONG, Prepared, environment, events, nudge

MOMENTS = 10_000 if LONG else 2  # of each act, evenly spread
KILLED = -9

prepared = Prepared()


def setUpModule():
    prepared.make()
    faulty_calls.build(prepared.folder)
    prepared.state = prepared.learned(may_be_promoted)


def tearDownModule():
    prepared.drop()


def may_be_promoted(rows):
    return [row["version"] for row in rows
            if row["kind"] == "full" and "boots" not in row["state"]]


def full_versions():
    return may_be_promoted(nudge("weights", "--state", prepared.state, "--json", "ls").json())


class Killed(Case):
    def setUp(self):
        super().setUp()
        self.plan = faulty_calls.Plan(self.folder / "plan")

    def run_with_plan(self, arguments):
        done = subprocess.run([program.program(), *map(str, arguments)], capture_output=True,
                              text=True, stdin=subprocess.DEVNULL,
                              env=environment(**self.plan.environment()))
        return done.returncode, done.stdout + done.stderr

    def boots(self, state):
        """The version that boots, which must be whole, and one that the log calls confirmed."""
        rows = nudge("weights", "--state", state, "--json", "ls").json()
        versions = [row for row in rows if "boots" in row["state"]]
        self.assertEqual(len(versions), 1, rows)
        version, name = versions[0]["version"], f"weights/{versions[0]['version']}"
        content = (state / f"{name}.safetensors").read_bytes()
        self.assertEqual(hashlib.sha256(content).hexdigest(), versions[0]["hash"])
        self.assertTrue((state / f"{name}.manifest.json").exists())
        rows = events(state)
        confirmed = [row["payload"]["version"] for row in rows
                     if row["kind"] in ("weights_promoted", "weights_confirmed")]
        self.assertIn(version, confirmed)
        return version

    def at_every_call(self, act, *arguments):
        """Gives how many calls there are, and which versions were seen to boot after a kill."""
        def fresh():
            scratch = pathlib.Path(tempfile.mkdtemp(prefix="at-", dir=self.folder))
            return self.copy_of(prepared.state, f"{scratch.name}/state")
        state = fresh()
        before = self.boots(state)
        command = [arguments[0], "--state", state, *arguments[1:]]
        self.plan.watch(str(state))
        code, said = self.run_with_plan(command)
        self.assertEqual(code, 0, said)
        calls, after = self.plan.calls, self.boots(state)
        self.assertNotEqual(after, before)
        seen = set()
        moments = min(calls, MOMENTS)
        for call in (1 + i * calls // moments for i in range(moments)):
            with self.subTest(act=act, call=call, of=calls):
                state = fresh()
                command = [arguments[0], "--state", state, *arguments[1:]]
                self.plan.kill(str(state), call)
                code, said = self.run_with_plan(command)
                self.plan.end()
                self.assertEqual(code, KILLED, said)
                self.check_whole(state)
                boots = self.boots(state)
                self.assertIn(boots, (before, after))
                seen.add(boots)
                if boots == before:
                    code, said = self.run_with_plan(command)  # and trying again does it
                    self.assertEqual(code, 0, said)
        if LONG or os.environ.get("NUDGE_FIGURES"):
            print(f"{act}: {calls} calls, v{before} or v{after} booted", file=sys.stderr)
        self.assertIn(before, seen)
        return calls

    def test_promoting(self):
        self.at_every_call("promote", "weights", "promote", full_versions()[-1])

    def test_rolling_back(self):
        outcome = nudge("weights", "--state", prepared.state, "promote", full_versions()[-1])
        self.assertEqual(outcome.code, 0, str(outcome))
        self.at_every_call("roll back", "weights", "rollback")

    def test_publishing(self):
        self.at_every_call("publish", "train", "--from", "log", "--set", "learner.base_steps=20")


if __name__ == "__main__":
    program.main()
