#!/usr/bin/env python3
"""Environments with gymnasium's interface as robots; at the far side a small one of our own."""

from __future__ import annotations

import time
import types
import unittest
from collections.abc import Mapping
from typing import Any

import numpy as np
import support
from support import RobotCase

import nudge
from nudge import NudgeError
from nudge.gymnasium import GymnasiumRobot, flat

STILL = np.array([0.5, 0.0], np.float32)  # the middle of the action space


class Cart:
    """What gymnasium documents of an `Env`: a cart whose speed is set, in steps of 40 ms."""

    metadata: Mapping[str, Any] = {"render_fps": 25}

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode
        self.action_space = types.SimpleNamespace(
            low=np.array([-1, -2], np.float32), high=np.array([2, 2], np.float32)
        )
        self.seeds: list[int | None] = []
        self.actions: list[np.ndarray[Any, np.dtype[np.float32]]] = []
        self.place = 0.0
        self.goal = 1.0

    @property
    def unwrapped(self) -> Cart:
        return self

    def _seen(self) -> dict[str, Any]:
        return {
            "observation": np.array([self.place, 0.0]),
            "desired_goal": np.array([self.goal]),
        }

    def reset(self, *, seed: int | None = None) -> tuple[Any, dict[str, Any]]:
        self.seeds.append(seed)
        self.place = 0.0
        return self._seen(), {}

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        self.actions.append(np.array(action))
        self.place += 0.04 * float(action[0] - STILL[0])
        done = self.place >= self.goal
        # Its time limit is always over, which by default is not its to say.
        return self._seen(), -1.0, self.place < -0.1, True, {"is_success": np.float32(done)}

    def render(self) -> Any:
        return np.full((6, 8, 3), len(self.actions) % 256, np.uint8)


def robot_of(env: Cart, **options: Any) -> GymnasiumRobot:
    return GymnasiumRobot(
        env,
        "cart",
        proprioception=lambda seen: seen["observation"],
        object_state=lambda seen: seen["desired_goal"],
        **options,
    )


class Alone(unittest.TestCase):
    def test_a_step_of_40_ms_is_two_control_periods(self) -> None:
        spec = robot_of(Cart()).spec
        self.assertEqual(spec.control_period_ns, 20_000_000)
        self.assertEqual(spec.policy_period_ns, 80_000_000)
        self.assertEqual((len(spec.proprioception), len(spec.object_state)), (2, 1))
        self.assertEqual([channel.name for channel in spec.action], ["action_0", "action_1"])

    def test_every_second_look_is_a_step_and_holding_is_the_middle(self) -> None:
        env = Cart()
        robot = robot_of(env)
        for _ in range(4):
            robot.observe()
        self.assertEqual(len(env.actions), 2)
        np.testing.assert_array_equal(env.actions, [STILL, STILL])

    def test_rates_become_the_actions_of_the_space(self) -> None:
        env = Cart()
        robot = robot_of(env)
        later = time.monotonic_ns() + 10**12
        for rates, action in (((1, 1), (2, 2)), ((-1, -1), (-1, -2)), ((0, 0), STILL)):
            robot.apply(np.array(rates, np.float32), later)
            robot.observe()
            robot.observe()
            np.testing.assert_allclose(env.actions[-1], action)

    def test_an_action_whose_deadline_has_passed_is_not_taken(self) -> None:
        env = Cart()
        robot = robot_of(env)
        robot.apply(np.array([1, 1], np.float32), time.monotonic_ns() - 1)
        robot.observe()
        robot.observe()
        np.testing.assert_array_equal(env.actions[-1], STILL)

    def test_it_stands_once_it_has_terminated_until_it_is_reset(self) -> None:
        env = Cart()
        robot = robot_of(env)
        env.place = -1.0
        robot.observe()
        self.assertEqual(robot.observe().over, "terminated")
        steps = len(env.actions)
        for _ in range(4):
            self.assertEqual(robot.observe().over, "terminated")
        self.assertEqual(len(env.actions), steps)
        robot.reset(1)
        robot.observe()
        self.assertEqual(robot.observe().over, "")
        self.assertEqual(len(env.actions), steps + 1)

    def test_its_time_limit_ends_the_episode_where_that_is_asked_for(self) -> None:
        robot = robot_of(Cart(), ends=("truncated",))
        robot.observe()
        self.assertEqual(robot.observe().over, "truncated")
        with self.assertRaises(NudgeError):
            robot_of(Cart(), ends=("finished",))

    def test_an_environment_that_takes_positions_is_given_them_and_keeps_the_newest(self) -> None:
        env = Cart()
        robot = robot_of(
            env,
            proprioception_channels=[
                nudge.Channel("x", "m", -1, 2),
                nudge.Channel("v", "m/s", -1, 1),
            ],
            action_channels=[
                nudge.Channel("x", "m/s", -1, 1, absolute=True),
                nudge.Channel("hand", "1/s", -1, 1, gripper=True),
            ],
        )
        env.place = 0.3
        robot.reset(0)
        for _ in range(2):
            robot.observe()
        np.testing.assert_allclose(env.actions[-1], (0.0, 0.0))  # where it is
        robot.apply(np.array([1.5, 1.0], np.float32), time.monotonic_ns() + 10**12)
        for _ in range(2):
            robot.observe()
        np.testing.assert_allclose(env.actions[-1], (1.5, 2.0))
        robot.hold()
        for _ in range(2):
            robot.observe()
        np.testing.assert_allclose(env.actions[-1], (1.5, 0.0))

    def test_equal_seeds_are_given_and_fit(self) -> None:
        env = Cart()
        robot = robot_of(env)
        robot.reset(2**63 + 5)
        self.assertEqual(env.seeds, [0, 5])

    def test_a_dictionary_is_flattened_in_the_order_of_its_keys(self) -> None:
        np.testing.assert_array_equal(flat({"b": [[3, 4]], "a": 1.0}), [1, 3, 4])

    def test_discrete_and_unbounded_actions_are_refused(self) -> None:
        env = Cart()
        for space in (
            types.SimpleNamespace(n=4),
            types.SimpleNamespace(low=np.array([0]), high=np.array([3])),
            types.SimpleNamespace(low=np.array([-np.inf]), high=np.array([np.inf])),
        ):
            env.action_space = space
            with self.subTest(space), self.assertRaises(NudgeError):
                robot_of(env)


class WithTheDaemon(RobotCase):
    def test_a_person_drives_the_environment_to_its_goal(self) -> None:
        env = Cart(render_mode="rgb_array")
        robot = robot_of(env, encoder=lambda pixels: b"\xff\xd8" + pixels.tobytes())
        self.serve(robot)
        self.start_daemon()
        supervisor = self.supervisor(robot="cart")
        self.drive(supervisor, lambda _: (1.0, 0.0), lambda: supervisor.state().last_success)
        self.assertGreaterEqual(env.place, env.goal)
        supervisor.label("success")
        self.process.stop()
        with nudge.LogReader(self.state) as reader:
            (episode,) = reader.episodes()
            picture = episode.frame("view", 1)
        self.assertEqual((episode.outcome, episode.end_reason), ("success", "task_done"))
        self.assertEqual(episode.cameras, ("view",))
        assert picture is not None and episode.steps.proprioception is not None
        self.assertEqual(picture[:2], b"\xff\xd8")
        self.assertGreater(episode.steps.proprioception[-1, 0], 0.5)


if __name__ == "__main__":
    support.main()
