#!/usr/bin/env python3
"""A robot that nobody trained yet: shown the task, trained, put to work, corrected, better.

What docs/tutorial/gymnasium.md does with a simulated arm, with a point and without a simulator.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import support
from support import Point, RobotCase, point_spec, program

import nudge
from nudge import Authority, Code, NudgeError

TRAINING = (
    "--set", "learner.base_steps=60", "--set", "learner.full_steps=30", "--set", "learner.nice=0",
)  # fmt: skip


class Target(Point):
    """A point that has done its task when it is at its goal, a new one each time."""

    def reset(self, seed: int) -> None:
        super().reset(seed)
        self.goal = np.random.default_rng(seed).uniform(-0.4, 0.4, 2).astype(np.float32)

    def observe(self) -> nudge.Observation:
        self.success = bool(np.linalg.norm(self.goal - self.place) < 0.03)
        return super().observe()


def towards(state: nudge.State) -> Any:
    away = (state.object_state if len(state.object_state) else np.zeros(2)) - state.proprioception
    return np.clip(4 * away, -1, 1)


class ColdStart(RobotCase):
    def setUp(self) -> None:
        super().setUp()
        self.arguments.remove("--no-learning")
        self.arguments += [*TRAINING, "--set", "robot.abandon_s=2"]

    def show(self, supervisor: nudge.Supervisor, times: int) -> None:
        """The task, by takeover."""
        for _ in range(times):
            self.show_once(supervisor, supervisor.state().episode)

    def show_once(self, supervisor: nudge.Supervisor, before: int) -> None:
        seen: set[int] = set()

        def over() -> bool:
            state = supervisor.state()
            if state.episode not in (0, before):
                seen.add(state.episode)
            return bool(seen) and state.episode == 0

        self.drive(supervisor, towards, over)
        supervisor.label("success")

    def train(self, *arguments: str) -> program.Outcome:
        return program.nudge("train", "--state", self.state, *TRAINING, *arguments)

    def test_from_no_policy_at_all_to_a_policy_that_learns_from_corrections(self) -> None:
        point = Target()
        self.serve(point)
        self.start_daemon()
        teacher = self.supervisor(name="teacher")
        self.show(teacher, 3)

        def listed() -> list[str]:
            return [str(episode["purpose"]) for episode in self.daemon.episodes()]

        self.wait_until(lambda: len(listed()) >= 3, "what was shown in the list of episodes")
        self.assertEqual(set(listed()), {"demonstration"})
        self.assertEqual(self.daemon.curves()["success"]["of"], 0, "they say nothing of a policy")
        teacher.close()
        self.process.stop()

        started = [
            e["payload"] for e in program.events(self.state) if e["kind"] == "episode_started"
        ]
        self.assertGreaterEqual(len(started), 3)
        self.assertEqual({e["purpose"] for e in started}, {1}, "demonstrations")
        (boot,) = (e["payload"] for e in program.events(self.state) if e["kind"] == "booted")
        self.assertEqual(json.loads(boot["spec"])["action"][0]["name"], "x")

        trained = self.train()
        self.assertEqual(trained.code, 0, str(trained))
        self.assertIn("weights v1 accepted", trained.out)

        judged = program.nudge("eval", "--state", self.state, "--json")
        self.assertEqual(judged.code, 0, str(judged))
        self.assertGreater(judged.json()["demonstrations"]["chunks"], 0)
        self.assertLess(judged.json()["demonstrations"]["error"], 3)

        self.start_daemon()
        teacher = self.supervisor(name="teacher")
        self.wait_until(lambda: self.hand_back(teacher), "the policy to drive")
        teacher.wait_for(Authority.AUTO, timeout_s=60)
        self.show(teacher, 2)

        def learned() -> bool:
            _, told = self.process.request("GET", "/api/v1/learning")
            return any(
                round["corrections"]["steps"] > 0 and round["demonstration"] > 0
                for round in json.loads(told)["rounds"]
            )

        program.wait_until(learned, "a round that learned from the correction", 120)
        teacher.close()
        self.process.stop()
        events = program.events(self.state)
        purposes = [e["payload"]["purpose"] for e in events if e["kind"] == "episode_started"]
        self.assertEqual(purposes[-1], 0, "with weights, a takeover is a correction")
        (newest,) = [e for e in events if e["kind"] == "booted"][-1:]
        self.assertEqual(newest["payload"]["shape"], boot["shape"])

    def hand_back(self, supervisor: nudge.Supervisor) -> bool:
        if supervisor.state().state == Authority.FAULT_HOLD:
            supervisor.reset_fault()
        try:
            supervisor.hand_back()
        except NudgeError:
            return False
        return True

    def test_a_robot_that_has_become_another_is_told_so_and_starts_anew(self) -> None:
        running = self.serve(Target())
        self.start_daemon()
        teacher = self.supervisor(name="teacher")
        self.show(teacher, 2)
        teacher.close()
        self.process.stop()
        running.end()
        self.assertEqual(self.train().code, 0)

        axes = ("x", "y")
        faster = point_spec(action=[nudge.Channel(axis, "m/s", -0.25, 0.25) for axis in axes])
        self.serve(Target(faster))
        self.start_daemon()
        self.assertIn("action channel 0 goes from -0.25", self.process.errors())
        self.assertIn("was made for the robot as it was", self.process.errors())
        self.assertEqual(self.daemon.status()["weights"]["playing"], 0)
        self.process.stop()
        again = self.train()
        self.assertNotEqual(again.code, 0)
        self.assertIn("are of the robot as it was before its spec changed", again.err)

    def test_without_demonstrations_and_without_a_log_training_says_what_to_do(self) -> None:
        nothing = self.train()
        self.assertIn("there is no log", nothing.err)
        self.serve(Point())
        self.start_daemon()
        self.process.stop()
        empty = self.train()
        self.assertNotEqual(empty.code, 0)
        self.assertIn("take over and show the task", empty.err)


class Without(RobotCase):
    """Robots that lack what the kitchen has."""

    def drive_a_while(self, robot: str, done: Any) -> nudge.Supervisor:
        supervisor = self.supervisor(robot=robot)
        self.drive(supervisor, lambda _: (1.0, 0.5), done)
        return supervisor

    def test_a_robot_without_object_state_is_recorded_and_trained(self) -> None:
        point = Point(point_spec(object_state=()))
        self.serve(point)
        self.start_daemon()
        self.drive_a_while("point", lambda: point.place[0] > 0.3).label("success")
        self.process.stop()
        trained = program.nudge("train", "--state", self.state, *TRAINING)
        self.assertEqual(trained.code, 0, str(trained))

    def test_a_robot_that_sees_by_cameras_alone_is_driven_and_recorded(self) -> None:
        point = Point(
            point_spec(object_state=(), proprioception=(), cameras=[nudge.Camera("front", 16, 8)])
        )
        point.observe = lambda: nudge.Observation(  # type: ignore[method-assign]
            images=(nudge.Image("front", np.zeros((8, 16, 3), np.uint8)),)
        )
        point.encoder = lambda pixels: b"\xff\xd8" + pixels.tobytes()[:64]
        self.serve(point)
        self.start_daemon()
        supervisor = self.drive_a_while("point", lambda: point.place[0] > 0.1)
        supervisor.end_episode()
        self.process.stop()
        with nudge.LogReader(self.state) as reader:
            episode = list(reader.episodes())[-1]
            self.assertEqual(episode.end_reason, "reset")
            assert episode.frame("front", 1) is not None

    def test_an_episode_ends_by_hand_and_by_the_robot(self) -> None:
        point = Point()
        self.serve(point)
        self.start_daemon()
        supervisor = self.drive_a_while("point", lambda: point.place[0] > 0.05)
        if supervisor.state().episode == 0:
            self.drive(supervisor, lambda _: (1.0, 0.0), lambda: supervisor.state().episode)
        supervisor.end_episode()
        supervisor.wait_for(lambda state: state.episode == 0)
        with self.assertRaises(NudgeError) as none:
            supervisor.end_episode()
        self.assertEqual(none.exception.code, Code.FAILED_PRECONDITION)

        def ends(reason: str) -> None:
            self.drive(supervisor, lambda _: (1.0, 0.0), lambda: supervisor.state().episode)
            point.over = reason
            supervisor.wait_for(lambda state: state.episode == 0)

        ends("truncated")
        ends("terminated")
        self.process.stop()
        with nudge.LogReader(self.state) as reader:
            reasons = [episode.end_reason for episode in reader.episodes()]
        self.assertEqual(reasons[-3:], ["reset", "time_limit", "aborted"])

    def test_a_robot_that_stops_itself_is_shown_as_stopped_until_it_is_reset(self) -> None:
        point = Point()
        self.serve(point)
        self.start_daemon()
        supervisor = self.supervisor()
        point.stopped = True
        supervisor.wait_for(Authority.ESTOP)
        before = supervisor.state().tick
        supervisor.reset_stop()
        # It still says so: the reset did not help, and a second later it is STOP again.
        supervisor.wait_for(
            lambda state: state.state != Authority.ESTOP or state.tick > before + 200
        )
        supervisor.wait_for(Authority.ESTOP)
        point.stopped = False
        supervisor.reset_stop()
        supervisor.wait_for(lambda state: state.state != Authority.ESTOP)

    def test_what_does_not_fit_the_spec_is_told_to_people(self) -> None:
        point = Point()
        self.serve(point)
        self.start_daemon()
        point.observe = lambda: nudge.Observation(  # type: ignore[method-assign]
            [0.0, 0.0, 0.0], [0.0, 0.0]
        )
        self.wait_until(
            lambda: "of shape (3,); the spec says (2,)" in self.daemon.status()["robot_trouble"],
            "what is wrong, on the page",
        )


if __name__ == "__main__":
    support.main()
