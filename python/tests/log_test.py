#!/usr/bin/env python3
"""What is read from a log is what happened: files, the golden segment, and the daemon's REST."""

from __future__ import annotations

import json
import pathlib
import sqlite3
import struct
import tempfile
import unittest
from typing import Any, ClassVar

import numpy as np
import support
from support import GOLDEN, Point, RobotCase, program

import nudge
from nudge import Code, NudgeError
from nudge.log import episode_of
from nudge.segment import Segment, crc32c


class Segments(unittest.TestCase):
    PATH = GOLDEN / "log" / "segment-v1.seg"

    def test_the_checksum_is_castagnolis(self) -> None:
        self.assertEqual(crc32c(b"123456789"), 0xE3069283)

    def test_the_golden_segment_is_read(self) -> None:
        segment = Segment(self.PATH)
        self.addCleanup(segment.close)
        header = segment.header
        self.assertEqual(header.episode, 7)
        self.assertEqual((header.features, header.proprioception, header.actions), (37, 9, 4))
        self.assertEqual(header.cameras, ("front", "wrist"))
        self.assertEqual(header.backbone, "a" * 64)
        records = []
        offset = header.size
        for _ in range(3):
            records.append(segment.record(offset))
            offset = records[-1].end
        self.assertEqual(offset, self.PATH.stat().st_size)
        self.assertEqual([record.sequence for record in records], [10, 11, 12])
        self.assertEqual([record.step for record in records], [0, 1, 2])
        first = records[0]
        self.assertEqual((first.weights, first.span, first.control_tick), (81, 2, 1))
        assert first.proprioception is not None and first.features is not None
        (expected,) = struct.unpack("<f", bytes.fromhex("2bec89bb"))
        self.assertEqual(first.proprioception[0], np.float32(expected))
        self.assertEqual((first.proprioception.shape, first.features.shape), ((9,), (37,)))
        image = first.images[0]
        self.assertEqual((image.camera, image.width, image.height), (0, 128, 96))
        self.assertEqual(len(segment.jpeg(image)), 0xD7)

    def test_references_are_read_from_a_segment_of_the_second_version(self) -> None:
        first, second = Segment(self.PATH), Segment(GOLDEN / "log" / "segment-v2.seg")
        self.addCleanup(first.close)
        self.addCleanup(second.close)
        self.assertEqual((first.header.reference_rows, second.header.reference_rows), (0, 3))
        self.assertIsNone(first.record(first.header.size).reference)
        offset, found = second.header.size, 0
        for _ in range(3):
            record = second.record(offset)
            offset = record.end
            if record.reference is None:
                continue
            found += 1
            self.assertEqual(record.reference.shape, (3, 4))
            self.assertTrue((abs(record.reference) <= 2).all())
            self.assertLess(record.reference_age, 20)
        self.assertGreater(found, 0)
        self.assertEqual(offset, second.path.stat().st_size)

    def test_any_byte_that_is_not_as_written_is_found(self) -> None:
        whole = self.PATH.read_bytes()
        header = Segment(self.PATH)
        end = header.record(header.header.size).end
        header.close()
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "s"
            for at in [*range(0, 240, 13), *range(240, end, 7)]:
                path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
                with self.subTest(at=at), self.assertRaises(NudgeError) as caught:
                    segment = Segment(path)
                    self.addCleanup(segment.close)
                    segment.record(240)
                self.assertIn(caught.exception.code, (Code.DATA_LOSS, Code.UNIMPLEMENTED))

    def test_what_was_not_committed_is_not_read(self) -> None:
        segment = Segment(self.PATH, committed=300)
        self.addCleanup(segment.close)
        with self.assertRaises(NudgeError):
            segment.record(240)


class Files(RobotCase):
    """One episode that a person drove, spoke in and labelled."""

    def act(self) -> Point:
        robot = Point()
        self.serve(robot)
        self.start_daemon()
        supervisor = self.supervisor(name="anna")
        steps = 0

        def command(state: nudge.State) -> tuple[float, float]:
            nonlocal steps
            steps = state.policy_step
            return (0.25, -0.5)

        self.drive(supervisor, command, lambda: steps >= 12)
        supervisor.words("careful with the cup", "comment")
        supervisor.label("failure")
        supervisor.label("success")
        supervisor.undo(0.3)
        robot.success = True  # its own idea: the episode ends
        supervisor.wait_for(lambda state: state.episode == 0)
        return robot

    def check(self, reader: nudge.LogReader) -> nudge.Episode:
        (episode,) = reader.episodes()
        self.assertEqual(reader.numbers(), [episode.number])
        self.assertEqual((episode.purpose, episode.outcome), ("demonstration", "success"))
        driven = [i for i, source in enumerate(episode.steps.source) if source == "human"]
        self.assertGreaterEqual(len(driven), 8)
        requested = episode.steps.requested
        assert requested is not None
        # Steps that nobody drove from their beginning to their end have less than that.
        whole = [i for i in driven if {i - 1, i + 1} <= set(driven)]
        self.assertGreater(len(whole), 3)
        matching = np.isclose(requested[whole], (0.25, -0.5), atol=1e-6).all(axis=1)
        self.assertGreater(matching.sum(), len(whole) // 2)
        inside = (requested[driven] >= (-1e-6, -0.5 - 1e-6)) & (requested[driven] <= (0.251, 1e-6))
        self.assertTrue(inside.all(), requested[driven])
        self.assertTrue(episode.spans)
        for span in episode.spans:
            self.assertEqual((span.kind, span.role), ("takeover", "engineer"))
            self.assertTrue(span.actor.startswith("anna#t"))
            self.assertTrue(span.complete)
        of_steps = episode.steps.span
        assert of_steps is not None
        self.assertIn(of_steps[driven[0]], [span.number for span in episode.spans])
        (words,) = episode.words
        self.assertEqual((words.text, words.use), ("careful with the cup", "comment"))
        self.assertEqual(len(episode.discarded), 1)
        return episode

    def test_an_episode_is_read_as_it_was_driven_and_seen(self) -> None:
        robot = self.act()
        self.process.stop()
        with nudge.LogReader(self.state) as reader:
            episode = self.check(reader)
        self.assertEqual((episode.ended, episode.end_reason), (True, "task_done"))
        self.assertEqual(episode.seed, robot.seeds[0])
        steps = episode.steps
        proprioception, times = steps.proprioception, steps.time_ns
        assert proprioception is not None and times is not None
        self.assertEqual(proprioception.shape, (len(steps), 2))
        assert steps.features is not None
        # On a busy machine a step may get lost, or be seen twice, or have no features.
        known = ~np.isnan(steps.features).any(axis=1)
        self.assertTrue(known.any())
        self.assertTrue((steps.features[known] == np.float16(robot.goal)).all())
        self.assertTrue((np.diff(steps.step.astype(int)) >= 1).all())
        self.assertTrue((np.diff(times) >= 0).all())
        self.assertTrue(np.isnan(steps.proposed).all())  # there are no weights
        # The robot went where it was driven.
        self.assertGreater(proprioception[-1, 0], proprioception[0, 0])
        self.assertLess(proprioception[-1, 1], proprioception[0, 1])

    def test_its_events_are_those_that_the_program_shows(self) -> None:
        self.act()
        self.process.stop()
        shown = {row["sequence"]: row for row in program.events(self.state)}
        with nudge.LogReader(self.state) as reader:
            (episode,) = reader.episodes()
        self.assertGreater(len(episode.events), 5)
        for event in episode.events:
            row = shown[event.sequence]
            self.assertEqual((event.kind, event.data), (row["kind"], row["payload"]))
            self.assertEqual((event.actor, event.step), (row["actor"], row["policy_step"]))
        own = {sequence for sequence, row in shown.items() if row["episode"] == episode.number}
        self.assertEqual({event.sequence for event in episode.events}, own)

    def test_a_log_whose_daemon_was_killed_is_read_and_left_as_it_is(self) -> None:
        self.act()
        self.process.kill()
        with nudge.LogReader(self.state) as reader:
            self.check(reader)
        # A reader recovers nothing: that is the next daemon's.
        self.assertEqual(self.check_whole(self.state)["ok"], True)

    def test_a_log_in_use_says_to_ask_the_daemon(self) -> None:
        self.serve(Point())
        self.start_daemon()
        with self.assertRaises(NudgeError) as caught:
            nudge.LogReader(self.state)
        self.assertEqual(caught.exception.code, Code.UNAVAILABLE)
        self.assertIn("nudge.Daemon", caught.exception.message)

    def test_while_it_reads_no_daemon_opens_the_log(self) -> None:
        self.act()
        self.process.stop()
        with nudge.LogReader(self.state):
            outcome = program.nudge("log", "--state", self.state, "verify")
            self.check_refused(outcome)
        self.check_whole(self.state)

    def check_refused(self, outcome: program.Outcome) -> None:
        self.assertNotEqual(outcome.code, 0)
        self.assertIn("nudge.LogReader", outcome.err)

    def test_a_damaged_step_is_said_and_not_given(self) -> None:
        self.act()
        self.process.stop()
        (segment,) = (self.state / "log" / "segments").iterdir()
        data = bytearray(segment.read_bytes())
        data[len(data) // 2] ^= 1
        segment.write_bytes(data)
        with nudge.LogReader(self.state) as reader, self.assertRaises(NudgeError) as caught:
            list(reader.episodes())
        self.assertEqual(caught.exception.code, Code.DATA_LOSS)
        self.assertIn(segment.name, caught.exception.message)

    def test_an_episode_whose_steps_were_deleted_has_its_events_and_no_steps(self) -> None:
        self.act()
        self.process.stop()
        database = sqlite3.connect(self.state / "log" / "log.db")
        (number,) = database.execute("SELECT episode FROM segments").fetchone()
        # A copy of a row, so that it has every column that there is.
        database.executescript(
            f"""
            CREATE TEMP TABLE one AS SELECT * FROM events WHERE kind = 'booted' LIMIT 1;
            UPDATE one SET sequence = 1000000, id = 'evicted:{number}', kind = 'episode_evicted',
              subject = {number}, payload = '{{"bytes":1,"episode":{number},"first":1,"last":1,'
              || '"steps":1,"worth":0}}';
            INSERT INTO events SELECT * FROM one;
            """
        )
        database.close()
        (segment,) = (self.state / "log" / "segments").iterdir()
        segment.unlink()
        with nudge.LogReader(self.state) as reader:
            (episode,) = reader.episodes()
        self.assertEqual(len(episode.steps.step), 0)
        self.assertIn("episode_started", [event.kind for event in episode.events])

    def test_a_log_of_a_newer_version_is_refused_untouched(self) -> None:
        self.act()
        self.process.stop()
        path = self.state / "log" / "log.db"
        database = sqlite3.connect(path)
        database.execute("PRAGMA user_version = 99")
        database.close()
        before = sorted(found.name for found in path.parent.iterdir())
        with self.assertRaises(NudgeError) as caught:
            nudge.LogReader(self.state)
        self.assertEqual(caught.exception.code, Code.FAILED_PRECONDITION)
        self.assertIn("newer version", caught.exception.message)
        self.assertEqual(sorted(found.name for found in path.parent.iterdir()), before)

    def test_a_folder_without_a_log_is_said_to_be_one(self) -> None:
        with self.assertRaises(NudgeError) as caught:
            nudge.LogReader(self.folder)
        self.assertEqual(caught.exception.code, Code.NOT_FOUND)

    def test_the_daemon_tells_what_its_files_say_or_that_it_does_not(self) -> None:
        self.act()
        with nudge.LogReader(self.daemon) as reader:
            numbers = [1]  # a demonstration: it is driven without weights

            def ended() -> bool:
                try:
                    return reader.episode(1).end_reason is not None
                except NudgeError:
                    return False

            self.wait_until(ended, "the episode's end")
            self.wait_until(lambda: reader.numbers() == numbers, "it in the daemon's list")
            told = None
            if "/api/v1/episodes/{id}" in self.daemon.get("/openapi.json")["paths"]:
                told = reader.episode(numbers[0])
            else:
                with self.assertRaises(NudgeError) as caught:
                    reader.episode(numbers[0])
                self.assertEqual(caught.exception.code, Code.NOT_FOUND)
                self.assertIn("state folder", caught.exception.message)
        self.process.stop()
        with nudge.LogReader(self.state) as reader:
            self.assertEqual(reader.numbers(), numbers)
            episode = reader.episode(numbers[0])
        if told is None:
            return
        self.assertTrue(told.whole)
        for name in ("number", "purpose", "outcome", "end_reason", "spans", "words", "seed"):
            self.assertEqual(getattr(told, name), getattr(episode, name), name)
        self.assertEqual(list(told.discarded), list(episode.discarded))
        self.assertEqual(told.steps.source, episode.steps.source)
        np.testing.assert_array_equal(told.steps.step, episode.steps.step)
        np.testing.assert_allclose(told.steps.executed, episode.steps.executed, atol=1e-4)
        np.testing.assert_allclose(told.steps.seconds, episode.steps.seconds, atol=0.02)


class Answers(unittest.TestCase):
    """The episode's answer of the supervisor's port, by its description."""

    ANSWER: ClassVar[dict[str, Any]] = {
        "id": 7,
        "purpose": "deployment",
        "outcome": "success",
        "instruction": "lift the red block",
        "steps": 3,
        "seconds": 0.3,
        "policy_period_ms": 100,
        "started_ms": 1764029000123,
        "ended": True,
        "recorded": True,
        "damaged": False,
        "truncated": False,
        "spans": [
            {
                "id": 5,
                "kind": "takeover",
                "first_step": 2,
                "last_step": 3,
                "correction_from": None,
                "reason": "released",
                "complete": True,
                "actor": {"name": "anna#t1", "role": "supervisor"},
                "label": "discard",
                "seconds": 0.2,
            }
        ],
        "discarded": [{"first_step": 3, "last_step": 3}],
        "lost": [{"first_step": 1, "count": 1}],
        "cameras": [{"name": "front", "width": 128, "height": 128}],
        "events": [
            {
                "type": "event",
                "sequence": 812,
                "kind": "episode_ended",
                "episode": 7,
                "step": 4,
                "wall_ms": 1764029000123,
                "actor": {"name": "nudge", "role": "script"},
                "data": {"reason": 0, "steps": 3},
            }
        ],
        "step": {
            "source": ["policy", "lost", "human", "human"],
            "weights": [3, 0, 3, 3],
            "seconds": [0, None, 0.2, 0.3],
            "proposed": [[0.5, None], None, None, [0, 0]],
            "executed": [[0.5, 0], None, [0.25, 1], [0, 0]],
            "clamped": [False, None, True, False],
        },
    }

    def test_an_answer_becomes_the_same_episode_as_files(self) -> None:
        episode = episode_of(json.loads(json.dumps(self.ANSWER)))
        self.assertEqual((episode.number, episode.outcome), (7, "success"))
        self.assertEqual(episode.end_reason, "task_done")
        self.assertEqual(episode.steps.step.tolist(), [0, 2, 3])  # step 1 got lost
        self.assertEqual(episode.steps.source, ("policy", "human", "human"))
        np.testing.assert_array_equal(
            episode.steps.proposed, np.array([[0.5, np.nan], [np.nan] * 2, [0, 0]], np.float32)
        )
        self.assertEqual(episode.steps.executed.tolist(), [[0.5, 0], [0.25, 1], [0, 0]])
        self.assertEqual((episode.spans[0].number, episode.spans[0].label), (5, "discard"))
        self.assertEqual(episode.discarded, [(3, 3)])
        self.assertEqual(episode.cameras, ("front",))
        self.assertIsNone(episode.steps.proprioception)
        self.assertTrue(episode.whole)

    def test_an_answer_that_is_not_whole_says_so(self) -> None:
        for name, value in (("recorded", False), ("damaged", True), ("truncated", True)):
            self.assertFalse(episode_of({**self.ANSWER, name: value}).whole, name)

    def test_an_answer_that_lacks_something_raises(self) -> None:
        for missing in ("id", "step", "purpose"):
            answer = {key: value for key, value in self.ANSWER.items() if key != missing}
            with self.subTest(missing), self.assertRaises(KeyError):
                episode_of(answer)


if __name__ == "__main__":
    support.main()
