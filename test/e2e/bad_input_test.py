#!/usr/bin/env python3
"""Every mistake gets an exit code of sysexits(3) and a message: what was wrong, where, what to do."""

import os
import shutil
import socket
import subprocess
import unittest

import program
from program import Case, Prepared, SHORT_DEMO, nudge

USAGE, DATA, NO_INPUT, UNAVAILABLE, CANNOT_CREATE, TRY_AGAIN, PERMISSION, CONFIG = (
    64, 65, 66, 69, 73, 75, 77, 78)

prepared = Prepared()


def setUpModule():
    prepared.make()
    prepared.state = prepared.trained()


def tearDownModule():
    prepared.drop()


def as_nobody():
    """The command to start with as somebody without rights; nothing when we are not root."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        raise unittest.SkipTest("root may read everything, and there is no setpriv to be less")
    return ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]


class Configuration(Case):
    def config(self, text):
        file = self.folder / "robot.toml"
        file.write_text(text)
        return file

    def refused(self, text, *said, commands=(["config", "check"],)):
        file = self.config(text)
        for command in commands:
            with self.subTest(command=command):
                self.check(nudge("--config", file, *command, cwd=self.folder), CONFIG, *said)
        self.assertEqual(os.listdir(self.folder), ["robot.toml"])  # nothing was begun

    def test_an_unknown_key_names_its_line_and_the_nearest_known_one(self):
        self.refused("[learner]\nbatch = 64\nmicro_step = 3\n", "robot.toml:3", "learner.micro_step",
                     'did you mean "learner.micro_steps"?')

    def test_an_unknown_section_is_told(self):
        self.refused("[lerner]\nbatch = 64\n", "robot.toml:2", "lerner.batch",
                     'did you mean "learner.batch"?')

    def test_a_wrong_type_names_the_right_one(self):
        self.refused('[learner]\nbatch = "many"\n', "robot.toml:2", "learner.batch", '"many"',
                     "integer")

    def test_a_value_out_of_range_names_the_range(self):
        self.refused("[learner]\nbatch = 0\n", "robot.toml:2", "learner.batch = 0", "1 to 4096",
                     commands=(["config", "check"], ["config", "print"], ["demo", "--headless"],
                               ["train"], ["eval"], ["log", "ls"], ["weights", "ls"]))

    def test_all_mistakes_of_a_file_are_told_at_once(self):
        self.refused("[learner]\nbatch = 0\nmicro_steps = -1\n", "robot.toml:2", "robot.toml:3")

    def test_settings_that_contradict_each_other_are_told(self):
        self.refused("[policy]\nhorizon = 4\nreplan_after = 8\n", "replan_after = 8", "horizon = 4")

    def test_text_that_is_not_toml_names_the_line(self):
        self.refused("[learner]\nbatch = \n", "robot.toml:2", "not TOML")

    def test_bytes_that_are_no_text_are_refused(self):
        file = self.folder / "robot.toml"
        file.write_bytes(os.urandom(4096))
        self.check(nudge("config", "check", "--config", file), CONFIG, "robot.toml")

    def test_a_file_that_is_missing_is_named(self):
        self.check(nudge("config", "check", "--config", self.folder / "none.toml"), NO_INPUT,
                   "none.toml", "no such file", "--config")

    def test_a_folder_is_no_file(self):
        self.check(nudge("config", "check", "--config", self.folder), NO_INPUT, str(self.folder),
                   "it is a folder")

    def test_a_file_that_may_not_be_read_says_so(self):
        self.folder.chmod(0o755)
        file = self.config("")
        file.chmod(0)
        outcome = nudge("config", "check", "--config", file, before=as_nobody())
        self.check(outcome, NO_INPUT, "robot.toml", "cannot be read", "Permission denied")

    def test_a_wrong_environment_variable_is_named(self):
        wrong = program.environment(NUDGE_LEARNER__BATCH="abc")
        self.check(nudge("config", "check", env=wrong), CONFIG, "environment NUDGE_LEARNER__BATCH",
                   '"abc"', "integer")

    def test_an_unknown_environment_variable_names_the_nearest_key(self):
        wrong = program.environment(NUDGE_LEARNER__BACH="3")
        self.check(nudge("config", "check", env=wrong), CONFIG, "environment NUDGE_LEARNER__BACH",
                   'did you mean "learner.batch"?')

    def test_a_wrong_set_is_named(self):
        for text, *said in (("learner.batch", "section.key=value"),
                            ("learner.batch=0", "learner.batch = 0", "1 to 4096"),
                            ("learner.batch=", "learner.batch"),
                            ("lerner.batch=3", 'did you mean "learner.batch"?')):
            with self.subTest(text=text):
                self.check(nudge("config", "check", "--set", text), CONFIG, "--set", *said)

    def test_a_gpu_that_is_not_there_is_told_before_anything_starts(self):
        if "heads are trained on a GPU" in nudge("doctor", cwd=self.folder).out:
            self.skipTest("there is a GPU")
        before = sorted(self.folder.rglob("*"))
        for key in ("learner.device", "policy.device"):
            for command in (["run"], ["train"], ["demo", "--headless"], ["demo"]):
                with self.subTest(key=key, command=command):
                    self.check(nudge("--set", f"{key}=cuda", *command, cwd=self.folder), CONFIG,
                               f'{key} = "cuda"', "no GPU", "auto")
        self.assertEqual(sorted(self.folder.rglob("*")), before)

    def test_the_doctor_reports_a_wrong_configuration_and_goes_on(self):
        file = self.config("[learner]\nbatch = 0\n")
        outcome = nudge("doctor", "--config", file)
        self.assertEqual(outcome.code, 1, str(outcome))
        self.assertIn("learner.batch = 0", outcome.out)


class CommandLine(Case):
    def test_wrong_usage_is_told_with_a_way_to_help(self):
        for arguments, said in (([], "subcommand"), (["dmeo"], "dmeo"), (["log"], "subcommand"),
                                (["log", "lss"], "lss"), (["demo", "--flag"], "--flag"),
                                (["demo", "--headless", "--starts", "0"], "--starts"),
                                (["demo", "--headless", "--starts", "x"], "--starts"),
                                (["demo", "--headless", "--episodes", "-1"], "--episodes"),
                                (["log", "ls", "-n", "x"], "x"), (["log", "show"], "episode"),
                                (["weights", "show", "abc"], "abc"),
                                (["train", "--from", "nowhere"], "--from"),
                                (["learn"], "--endpoint"), (["eval", "--starts"], "--starts")):
            with self.subTest(arguments=arguments):
                self.check(nudge(*arguments), USAGE, said, "--help")

    def test_words_for_a_task_that_there_is_not_are_told(self):
        for said in ("wash up", "wash up=do the dishes"):
            with self.subTest(said):
                self.check(nudge("eval", "--state", prepared.state, "--say", said), USAGE, "wash up")
        self.check(nudge("demo", "--headless", "--out", self.folder / "demo", "--set",
                         "demo.tasks=wash up"), CONFIG, "demo.tasks", "wash up", "lift the block")

    def test_a_version_that_does_not_exist_is_told(self):
        state = ["--state", prepared.state]
        for arguments in (["weights", *state, "show", 99], ["weights", *state, "promote", 99],
                          ["eval", *state, "--version-number", 99]):
            with self.subTest(arguments=arguments):
                self.check(nudge(*arguments), NO_INPUT, "no weights v99", "nudge weights ls")

    def test_an_episode_that_does_not_exist_is_told(self):
        self.check(nudge("log", "--state", prepared.state, "show", 99), NO_INPUT, "no episode 99",
                   "nudge log ls")

    def test_a_learner_without_a_daemon_says_where_it_looked(self):
        # For the sanitizers: their shadow is more than a learner may take, and the sandbox keeps
        # them from looking for leaks.
        config = self.folder / "daemon.toml"
        config.write_text("[learner]\nmemory_mib = 0\n")
        own = program.environment()
        own["ASAN_OPTIONS"] = own.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
        self.check(nudge("-c", config, "learn", "--endpoint", "nowhere", env=own), UNAVAILABLE,
                   "nowhere")


class Folders(Case):
    """State folders that are not what they should be."""

    def test_a_folder_without_a_log_says_how_to_get_one(self):
        for arguments in (["log", "ls"], ["log", "verify"], ["weights", "ls"], ["eval"],
                          ["weights", "promote", 1]):
            with self.subTest(arguments=arguments):
                self.check(nudge(*arguments, "--state", self.folder), NO_INPUT, "there is no log",
                           str(self.folder), "nudge demo")
        self.assertEqual(os.listdir(self.folder), [])

    def test_a_file_is_no_state_folder(self):
        file = self.folder / "file"
        file.write_text("precious")
        self.check(nudge("log", "ls", "--state", file), NO_INPUT, "there is no log", str(file))
        self.check(nudge("train", "--state", file, "--record", 1), UNAVAILABLE, str(file), "--state")
        self.check(nudge("demo", "--headless", "--out", file), CANNOT_CREATE, str(file), "--out")
        self.assertEqual(file.read_text(), "precious")

    def test_a_folder_that_holds_something_else_is_not_replaced(self):
        (self.folder / "state").mkdir()
        (self.folder / "state" / "thesis.txt").write_text("precious")
        self.check(nudge("demo", "--headless", "--out", self.folder), CANNOT_CREATE,
                   "holds something else", "--out")
        self.assertEqual((self.folder / "state" / "thesis.txt").read_text(), "precious")

    def test_a_folder_that_may_not_be_written_is_told(self):
        closed = self.folder / "closed"
        closed.mkdir(mode=0o555)
        self.folder.chmod(0o755)
        nobody = as_nobody()
        self.check(nudge("demo", "--headless", "--out", closed / "demo", before=nobody), PERMISSION,
                   str(closed), "Permission denied", "--out")
        self.check(nudge("train", "--state", closed / "state", "--record", 1, before=nobody),
                   PERMISSION, str(closed), "Permission denied", "--state")

    def test_a_folder_of_somebody_else_is_told(self):
        nobody = as_nobody()
        if not nobody:
            self.skipTest("only root can make a folder of somebody else")
        state = self.copy_of(prepared.state)
        self.folder.chmod(0o755)
        for arguments in (["log", "ls"], ["weights", "ls"], ["eval"], ["train"]):
            with self.subTest(arguments=arguments):
                outcome = nudge(*arguments, "--state", state, before=nobody)
                self.check(outcome, PERMISSION, str(state))

    def test_a_path_too_long_for_a_socket_is_told_before_any_work(self):
        out = self.folder / ("long" * 25)
        self.check(nudge("demo", "--headless", "--out", out), USAGE, "100 bytes", "shorter")


class InUse(Case):
    """Two programs on one log."""

    def setUp(self):
        super().setUp()
        out = self.folder / "demo"
        out.mkdir()
        self.state = self.copy_of(prepared.state, "demo/state")
        (out / ".nudge-demo").write_text("")
        self.daemon = program.start("demo", *SHORT_DEMO, "--out", out, "--continue",
                                    "--episodes", 1000, "--corrected", 1000)
        self.addCleanup(program.end, self.daemon)
        program.wait_until(lambda: program.learners(self.state), "the daemon to have a learner")

    def test_a_second_program_is_told_who_has_the_log_and_changes_nothing(self):
        settings = (self.state / "config.toml").read_bytes()
        for arguments in (["log", "ls"], ["log", "verify"], ["weights", "ls"],
                          ["weights", "promote", 1], ["weights", "rollback"], ["eval"],
                          ["train", "--set", "learner.batch=7"]):
            with self.subTest(arguments=arguments):
                self.check(nudge(*arguments, "--state", self.state), UNAVAILABLE, "in use by",
                           f"process {self.daemon.pid}")
        self.assertEqual((self.state / "config.toml").read_bytes(), settings)
        self.assertIsNone(self.daemon.poll())

    def test_a_second_demo_does_not_take_the_folder_away(self):
        out = self.state.parent
        for more in ([], ["--continue"]):
            with self.subTest(more=more):
                self.check(nudge("demo", *SHORT_DEMO, "--out", out, *more), UNAVAILABLE,
                           "in use by", f"process {self.daemon.pid}")
        self.assertIsNone(self.daemon.poll())
        program.end(self.daemon)
        self.check_whole(self.state)


class Environment(Case):
    def test_the_learner_works_with_the_daemons_settings_whatever_its_environment_says(self):
        own = program.environment(NUDGE_LEARNER__BATCH="32", NUDGE_LEARNER__SEED="9")
        outcome = nudge("demo", *SHORT_DEMO, "--out", self.folder / "demo", "--episodes", 2,
                        "--set", "learner.batch=64", "--json", env=own)
        self.assertIn(outcome.code, (0, 1), str(outcome))
        self.assertNotIn("another training configuration", outcome.err)
        self.assertEqual(outcome.json()["learner_deaths"], 0)
        kinds = [row["kind"] for row in program.events(self.folder / "demo/state")]
        self.assertIn("candidate_received", kinds)


if __name__ == "__main__":
    program.main()
