#!/usr/bin/env python3
"""What every command answers when all is well."""

import json
import unittest

import program
from program import Case, Prepared, SHORT_DEMO, nudge

COMMANDS = [["demo"], ["eval"], ["train"], ["learn"], ["log"], ["weights"], ["config"], ["doctor"],
            ["log", "ls"], ["log", "show"], ["log", "tail"], ["log", "verify"], ["weights", "ls"],
            ["weights", "show"], ["weights", "promote"], ["weights", "rollback"],
            ["config", "print"], ["config", "check"], ["config", "defaults"], ["export"],
            ["export", "lerobot"], ["import"], ["import", "lerobot"], ["backbone"],
            ["backbone", "train"], ["backbone", "hear"], ["backbone", "show"],
            ["log", "reencode"]]

prepared = Prepared()


def setUpModule():
    prepared.make()
    prepared.state = prepared.worked()


def tearDownModule():
    prepared.drop()


class Help(Case):
    def test_every_command_explains_itself(self):
        for command in [[], *COMMANDS]:
            with self.subTest(command=command):
                outcome = self.check(nudge(*command, "--help"), 0, "Usage:")
                self.assertEqual(outcome.err, "")

    def test_the_version_is_told(self):
        self.assertRegex(self.check(nudge("--version"), 0).out, r"^nudge \d+\.\d+\.\d+\n$")

    def test_the_defaults_are_a_configuration_that_is_valid(self):
        file = self.folder / "defaults.toml"
        file.write_text(self.check(nudge("config", "defaults"), 0).out)
        self.assertEqual(self.check(nudge("config", "check", "--config", file), 0).out, "")

    def test_printed_settings_are_a_configuration_that_says_the_same(self):
        file = self.folder / "printed.toml"
        file.write_text(self.check(nudge("config", "print", "--set", "learner.batch=77"), 0).out)
        again = self.check(nudge("config", "print", "--json", "--config", file), 0)
        self.assertIn("77", again.out)


class Json(Case):
    """With --json the standard output is JSON and nothing else."""

    def parsed(self, *arguments, code=0):
        outcome = nudge(*arguments, "--json")
        self.assertEqual(outcome.code, code, str(outcome))
        return outcome.json()

    def test_of_the_configuration(self):
        self.assertTrue(self.parsed("config", "print"))
        self.assertEqual(self.parsed("config", "check"), {"ok": True})

    def test_of_the_doctor(self):
        outcome = nudge("doctor", "--json")
        self.assertIn(outcome.code, (0, 1), str(outcome))  # 1: this machine lacks something
        self.assertTrue(outcome.json())
        self.check(nudge("doctor"), outcome.code)

    def test_of_a_backbone(self):
        outcome = nudge("backbone", "show", "kitchen", "--json")
        self.assertEqual(outcome.code, 0, str(outcome))
        self.assertIn("64 features of front wrist", outcome.json()["summary"])
        self.assertEqual(nudge("backbone", "show", "/nowhere/eyes.safetensors").code, 66)
        for eyes, code in (("/nowhere/eyes.safetensors", 66), ("state", 64)):
            out = ["--out", f"{prepared.state}/heard.safetensors"]
            self.assertEqual(nudge("backbone", "hear", eyes, *out).code, code, eyes)

    def test_of_the_log(self):
        state = ["--state", prepared.state]
        episodes = self.parsed("log", *state, "ls")
        purposes = [row["purpose"] for row in episodes]
        self.assertEqual(purposes.count("demonstration"), 3)
        self.assertEqual(purposes.count("deployment"), 2)
        self.assertTrue(all(row["ended"] and row["steps"] > 0 for row in episodes))
        shown = self.parsed("log", *state, "show", episodes[-1]["episode"])
        self.assertEqual(shown["steps"], episodes[-1]["steps"])
        self.assertTrue(self.parsed("log", *state, "verify")["ok"])

    def test_the_tail_of_the_log_is_one_object_a_line(self):
        rows = self.check(nudge("log", "--state", prepared.state, "tail", "-n", 7), 0).lines()
        self.assertEqual(len(rows), 7)
        sequences = [row["sequence"] for row in rows]
        self.assertEqual(sequences, sorted(set(sequences)))

    def test_of_the_weights(self):
        state = ["--state", prepared.state]
        rows = self.parsed("weights", *state, "ls")
        self.assertEqual(rows[0]["version"], 1)
        self.assertIn("confirmed", rows[0]["state"])
        self.assertEqual(self.parsed("weights", *state, "show", 1)["hash"], rows[0]["hash"])

    def test_of_acts_on_the_weights(self):
        state = self.copy_of(prepared.state)
        self.assertEqual(self.parsed("weights", "--state", state, "promote", 1), {"ok": True})

    def test_of_an_evaluation(self):
        result = self.parsed("eval", "--state", prepared.state, "--starts", 4)
        self.assertEqual(result["starts"], 4)
        self.assertEqual(sum(result["success"]), result["successes"])
        self.assertEqual(result["instructions"], ["lift the block"] * 4)
        # A policy that sees the object state hears nothing, whatever is said.
        other = self.parsed("eval", "--state", prepared.state, "--starts", 4, "--say",
                            "lift the block=grab that cube")
        self.assertEqual(other["steps"], result["steps"])

    def test_of_training(self):
        result = self.parsed("train", "--state", self.folder / "new", "--record", 2,
                             "--set", "learner.base_steps=20")
        self.assertEqual(result["version"], 1)

    def test_of_a_demo_on_its_output_and_in_its_folder(self):
        outcome = nudge("demo", *SHORT_DEMO, "--out", self.folder / "demo", "--episodes", 1,
                        "--json")
        self.assertIn(outcome.code, (0, 1), str(outcome))
        self.assertEqual(outcome.json(), json.loads((self.folder / "demo/result.json").read_text()))
        self.assertTrue((self.folder / "demo/learning-curve.png").stat().st_size > 0)


class Text(Case):
    """For people: something to read, on the standard output."""

    def test_every_command_that_looks_prints_something(self):
        state = ["--state", prepared.state]
        for arguments in (["log", *state, "ls"], ["log", *state, "show", 4],
                          ["log", *state, "verify"], ["weights", *state, "ls"],
                          ["weights", *state, "show", 1], ["config", "print"],
                          ["eval", *state, "--starts", 2]):
            with self.subTest(arguments=arguments):
                self.assertNotEqual(self.check(nudge(*arguments), 0).out, "")

    def test_looking_changes_nothing(self):
        state = self.copy_of(prepared.state)
        files = lambda: {p: p.read_bytes() for p in state.rglob("*")
                         if p.is_file() and p.name not in ("lock",)}
        before = files()
        for arguments in (["log", "ls"], ["log", "verify"], ["log", "tail"], ["weights", "ls"]):
            self.check(nudge(*arguments, "--state", state), 0)
        self.assertEqual(files(), before)


class Demo(Case):
    def test_a_demo_that_shows_no_rise_fails(self):
        outcome = nudge("demo", *SHORT_DEMO, "--out", self.folder / "demo", "--corrected", 1,
                        "--episodes", 1, "--starts", 2)
        self.assertEqual(outcome.code, 1, str(outcome))  # two starts cannot prove anything
        self.assertIn("NOT better than chance", outcome.out)

    def test_a_demo_replaces_the_one_before(self):
        out = ["--out", self.folder / "demo", "--episodes", 1]
        nudge("demo", *SHORT_DEMO, *out)
        nudge("demo", *SHORT_DEMO, *out)
        rows = nudge("log", "--state", self.folder / "demo/state", "--json", "ls").json()
        self.assertEqual(len(rows), 4)  # three demonstrations and an episode

    def test_a_demo_goes_on_where_the_one_before_ended(self):
        out = self.folder / "demo"
        nudge("demo", *SHORT_DEMO, "--out", out, "--episodes", 1)
        first = program.events(out / "state")
        outcome = nudge("demo", *SHORT_DEMO, "--out", out, "--episodes", 2, "--continue", "--json")
        self.assertIn(outcome.code, (0, 1), str(outcome))
        both = program.events(out / "state")
        self.assertEqual(both[:len(first)], first)
        rows = nudge("log", "--state", out / "state", "--json", "ls").json()
        self.assertEqual([row["purpose"] for row in rows],
                         ["demonstration"] * 3 + ["deployment"] * 3)
        seeds = [e["payload"]["seed"] for e in both if e["kind"] == "episode_started"]
        self.assertEqual(len(seeds), len(set(seeds)))

    def test_there_must_be_a_demo_to_go_on_with(self):
        self.check(nudge("demo", "--headless", "--continue", "--out", self.folder / "none"), 66,
                   "there is no demo to go on with", "--out")


class ByHand(Case):
    """What an engineer decides takes effect at the next start."""

    def confirmed(self, state):
        rows = nudge("weights", "--state", state, "--json", "ls").json()
        return [row["version"] for row in rows if "boots" in row["state"]]

    def first_live(self, out):
        """The version that runs first after the newest boot, from the log alone."""
        outcome = nudge("demo", *SHORT_DEMO, "--out", out, "--continue", "--episodes", 1)
        self.assertIn(outcome.code, (0, 1), str(outcome))
        rows = program.events(out / "state")
        boot = max(i for i, row in enumerate(rows) if row["kind"] == "booted")
        live = 0
        for row in rows[:boot]:
            live = {"weights_live": lambda p: p["version"], "weights_rolled_back":
                    lambda p: p["to"]}.get(row["kind"], lambda p: live)(row["payload"])
        # What it learned since is not what it booted; no word means that nothing changed.
        learned = {row["payload"]["version"] for row in rows[boot:]
                   if row["kind"] == "weights_accepted"}
        ran = [row["payload"]["version"] for row in rows[boot:] if row["kind"] == "weights_live"]
        return next((version for version in ran if version not in learned), live)

    def demo_folder(self):
        out = self.folder / "demo"
        out.mkdir()
        self.copy_of(prepared.state, "demo/state")
        (out / ".nudge-demo").write_text("")
        return out

    def test_promoted_weights_boot_and_rolled_back_ones_do_not(self):
        out = self.demo_folder()
        state = out / "state"
        # A second full version: trained from scratch, the engineer's act.
        trained = nudge("train", "--state", state, "--from", "log", "--json",
                        "--set", "learner.base_steps=60")
        self.check(trained, 0)
        newest = trained.json()["version"]
        self.assertEqual(self.confirmed(state), [newest])
        self.assertEqual(self.first_live(out), newest)

        self.check(nudge("weights", "--state", state, "promote", 1), 0, "at the next start")
        self.assertEqual(self.confirmed(state), [1])
        self.assertEqual(self.first_live(out), 1)

    def test_a_rollback_goes_to_the_version_before_and_says_who_did_it(self):
        out = self.demo_folder()
        state = out / "state"
        rows = nudge("weights", "--state", state, "--json", "ls").json()
        full = [row["version"] for row in rows if row["kind"] == "full" and row["version"] != 1]
        if not full:
            self.skipTest("the learner's full round was not accepted in this run")
        self.check(nudge("weights", "--state", state, "promote", full[-1]), 0)
        self.assertEqual(self.confirmed(state), [full[-1]])
        self.check(nudge("weights", "--state", state, "--as", "maria", "rollback"), 0)
        event = program.events(state)[-1]
        self.assertEqual((event["kind"], event["actor"]), ("weights_rolled_back", "maria"))
        if self.confirmed(state) != [1]:  # newer, provisional weights ran last; they went first
            self.check(nudge("weights", "--state", state, "rollback"), 0)
        self.assertEqual(self.confirmed(state), [1])
        self.assertEqual(self.first_live(out), 1)

    def test_weights_that_are_damaged_cannot_be_promoted(self):
        state = self.copy_of(prepared.state)
        file = state / "weights/1.safetensors"
        data = bytearray(file.read_bytes())
        data[-100] ^= 0xff
        file.write_bytes(data)
        self.check(nudge("weights", "--state", state, "promote", 1), 65, "1.safetensors",
                   "nudge weights ls")

    def test_first_weights_have_no_version_to_go_back_to(self):
        state = self.folder / "new"
        self.check(nudge("train", "--state", state, "--record", 2,
                         "--set", "learner.base_steps=20"), 0)
        self.check(nudge("weights", "--state", state, "rollback"), 75, "no earlier version")


if __name__ == "__main__":
    program.main()
