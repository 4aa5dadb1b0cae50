#!/usr/bin/env python3
"""Data sets of LeRobot: out of a log, read by somebody else's reader of Parquet, and in again."""

import hashlib
import json
import pathlib
import shutil
import subprocess
import sys
import time
import unittest

import program
from program import Case, Prepared, SHORT_DEMO, nudge

ROOT = pathlib.Path(__file__).resolve().parents[2]
READER = ROOT / "test" / "datasets" / "reader"
sys.path.insert(0, str(ROOT / "python" / "src"))
PICTURES = ["--set", "sim.cameras=true"]

prepared = Prepared()


def setUpModule():
    prepared.make()
    out = prepared.folder / "worked"
    outcome = nudge("demo", *SHORT_DEMO, *PICTURES, "--out", out, "--episodes", 2, "--corrected", 2)
    if outcome.code not in (0, 1):
        raise AssertionError(str(outcome))
    prepared.state = out / "state"


def tearDownModule():
    prepared.drop()


def parquet(path):
    """The file as hyparquet reads it."""
    done = subprocess.run(["node", "read.mjs", str(path)], cwd=READER, text=True,
                          capture_output=True, timeout=120)
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    return json.loads(done.stdout)


class Data(Case):
    def export(self, name, *arguments, code=0):
        outcome = nudge("export", "lerobot", self.folder / name, "--state", prepared.state,
                        "--json", *arguments)
        self.assertEqual(outcome.code, code, str(outcome))
        return outcome.json() if code == 0 else outcome

    def info(self, name):
        return json.loads((self.folder / name / "meta/info.json").read_text())

    def test_demonstrations_teach_a_policy_that_hears_its_task(self):
        hears = ["--set", "policy.instruction_size=8", "--set", "learner.base_steps=60"]
        self.export("plain", "--pictures", "none", "--purpose", "demonstration")
        for name, brought in (("first", "plain"), ("second", "heard")):
            with self.subTest(brought):
                state = self.folder / name
                got = nudge("import", "lerobot", self.folder / brought, "--state", state, "--json",
                            *hears)
                self.assertGreater(self.check(got, 0).json()["new_episodes"], 0)
                self.check(nudge("train", "--state", state, *hears), 0, "accepted by the gate")
                if brought == "plain":  # and what was exported of that comes back as it is
                    self.check(nudge("export", "lerobot", self.folder / "heard", "--state", state,
                                     "--pictures", "none", *hears), 0)
                    self.assertIn("observation.features", self.info("heard")["features"])

    @unittest.skipUnless((READER / "node_modules").exists(), "npm ci in test/datasets/reader first")
    def test_another_reader_finds_what_the_log_holds(self):
        import nudge as package

        for version, name in (("v3.0", "data/chunk-000/file-000.parquet"),
                              ("v2.1", "data/chunk-000/episode_000000.parquet")):
            with self.subTest(version=version):
                report = self.export(version, "--format", version, "--pictures", "none")
                self.assertGreaterEqual(report["episodes"], 5)
                found = parquet(self.folder / version / name)
                info = self.info(version)
                self.assertEqual(info["total_frames"], report["steps"])
                self.assertEqual(info["total_episodes"], report["episodes"])
                rows = found["rows"]
                if version == "v3.0":
                    self.assertEqual(len(rows), report["steps"])
                self.assertEqual(list(rows[0]), list(info["features"]))
                with package.LogReader(prepared.state) as log:
                    episode = next(log.episodes())
                    for i in range(len(episode.steps)):
                        row = rows[i]
                        self.assertEqual(row["observation.state"],
                                         [float(v) for v in episode.steps.proprioception[i]])
                        self.assertEqual(row["action"],
                                         [float(v) for v in episode.steps.executed[i]])
                        self.assertEqual((row["episode_index"], row["frame_index"], row["index"]),
                                         (0, i, i))
                        self.assertAlmostEqual(row["timestamp"], i / info["fps"], places=5)

    @unittest.skipUnless((READER / "node_modules").exists(), "npm ci in test/datasets/reader first")
    def test_pictures_are_those_of_the_log(self):
        import nudge as package

        self.assertEqual(self.export("set")["skipped"], [])
        rows = parquet(self.folder / "set/data/chunk-000/file-000.parquet")["rows"]
        with package.LogReader(prepared.state) as log:
            compared = 0
            for index, episode in enumerate(log.episodes()):
                of_it = [row for row in rows if row["episode_index"] == index]
                for i in range(len(episode.steps)):
                    for camera in ("front", "wrist"):
                        jpeg = episode.frame(camera, i)
                        if jpeg is not None:
                            self.assertEqual(of_it[i][f"observation.images.{camera}"]["bytes"],
                                             {"bytes": len(jpeg),
                                              "sha256": hashlib.sha256(jpeg).hexdigest()})
                            compared += 1
            self.assertGreater(compared, 10)

    @unittest.skipUnless((READER / "node_modules").exists(), "npm ci in test/datasets/reader first")
    def test_the_descriptions_agree_with_the_data(self):
        report = self.export("set")
        folder = self.folder / "set"
        tasks = parquet(folder / "meta/tasks.parquet")
        self.assertEqual(tasks["rows"], [{"task_index": 0, "task": "lift the block"}])
        self.assertEqual(json.loads(tasks["keys"]["pandas"])["index_columns"], ["task"])
        episodes = parquet(folder / "meta/episodes/chunk-000/file-000.parquet")["rows"]
        self.assertEqual([e["episode_index"] for e in episodes], list(range(report["episodes"])))
        self.assertEqual(sum(e["length"] for e in episodes), report["steps"])
        self.assertTrue(any(e["interventions"] > 0 for e in episodes))
        rows = parquet(folder / "data/chunk-000/file-000.parquet")["rows"]
        stats = json.loads((folder / "meta/stats.json").read_text())
        for i in range(4):
            values = [row["action"][i] for row in rows]
            self.assertAlmostEqual(stats["action"]["min"][i], min(values), places=6)
            self.assertAlmostEqual(stats["action"]["max"][i], max(values), places=6)
            self.assertAlmostEqual(stats["action"]["mean"][i], sum(values) / len(values), places=5)
        self.assertEqual(stats["action"]["count"], [len(rows)])

    def test_a_second_run_adds_nothing_and_changes_nothing(self):
        self.export("set")
        before = {p: p.read_bytes() for p in (self.folder / "set").rglob("*") if p.is_file()}
        report = self.export("set")
        self.assertEqual(report["new_episodes"], 0)
        after = {p: p.read_bytes() for p in (self.folder / "set").rglob("*") if p.is_file()}
        self.assertEqual(after, before)

    def test_a_killed_run_is_finished_by_the_next(self):
        self.export("whole")
        for delay in (0.02, 0.05, 0.1, 0.2, 0.4, 0.8):
            process = program.start("export", "lerobot", self.folder / "killed", "--state",
                                    prepared.state)
            time.sleep(delay)
            program.end(process)
            self.export("killed")
            for path in (self.folder / "whole").rglob("*"):
                if path.is_file() and ".nudge" not in path.parts:
                    other = self.folder / "killed" / path.relative_to(self.folder / "whole")
                    self.assertEqual(other.read_bytes(), path.read_bytes(), path)
            shutil.rmtree(self.folder / "killed")

    def test_demonstrations_come_in_once_and_can_be_trained_on(self):
        for version in ("v3.0", "v2.1"):
            with self.subTest(version=version):
                self.export(version, "--format", version, "--purpose", "demonstration")
                state = self.folder / f"state-{version}"
                arguments = ["import", "lerobot", self.folder / version, "--state", state]
                first = self.check(nudge(*arguments, "--json"), 0).json()
                self.assertEqual(first["new_episodes"], 3)
                again = self.check(nudge(*arguments, "--json"), 0).json()
                self.assertEqual((again["new_episodes"], again["known_episodes"]), (0, 3))
                self.check_whole(state)
                listed = nudge("log", "--state", state, "--json", "ls").json()
                self.assertEqual({row["purpose"] for row in listed}, {"demonstration"})
                self.check(nudge("train", "--state", state, "--set", "learner.base_steps=60"), 0,
                           "accepted")

    @unittest.skipUnless(shutil.which("ffmpeg"), "ffmpeg is not installed")
    def test_videos_have_a_frame_for_every_row(self):
        report = self.export("set", "--pictures", "video", "--codec", "h264")
        info = self.info("set")
        self.assertEqual(info["features"]["observation.images.front"]["dtype"], "video")
        video = self.folder / "set/videos/observation.images.front/chunk-000/file-000.mp4"
        counted = subprocess.run(
            ["ffprobe", "-v", "error", "-count_frames", "-select_streams", "v:0", "-show_entries",
             "stream=nb_read_frames", "-of", "csv=p=0", str(video)],
            text=True, capture_output=True, timeout=120)
        self.assertEqual(int(counted.stdout.strip().rstrip(",")), report["steps"], counted.stderr)
        state = self.folder / "state"
        came = self.check(nudge("import", "lerobot", self.folder / "set", "--state", state,
                                "--json"), 0).json()
        self.assertEqual(came["new_steps"], report["steps"])

    def test_what_cannot_be_done_is_said(self):
        self.check(nudge("export", "lerobot", self.folder / "set", "--state",
                         self.folder / "nothing"), 66, "there is no log")
        self.check(nudge("import", "lerobot", self.folder, "--state", self.folder / "s"), 66,
                   "no LeRobot data set")
        self.export("set", "--purpose", "demonstration")
        other = self.export("set", "--format", "v2.1", code=75)
        self.assertIn("v3.0", other.err)
        info = self.folder / "set/meta/info.json"
        info.write_text(info.read_text().replace('"fps": 10', '"fps": 30'))
        self.check(nudge("import", "lerobot", self.folder / "set", "--state", self.folder / "s"),
                   65, "30 rows a second")


if __name__ == "__main__":
    program.main()
