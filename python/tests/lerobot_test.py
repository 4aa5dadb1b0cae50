#!/usr/bin/env python3
"""Arms with LeRobot's interface as robots and supervisors; at the far side two of our own."""

from __future__ import annotations

import contextlib
import math
import time
import unittest
from collections.abc import Mapping
from typing import Any

import numpy as np
import support
from support import RobotCase

import nudge
from nudge import Authority, NudgeError
from nudge.lerobot import Leader, LeRobotRobot

JOINTS = ("shoulder", "elbow", "gripper")


class Follower:
    """What LeRobot documents of a `Robot`: position-controlled joints, a number more, a camera."""

    def __init__(self) -> None:
        self.is_connected = False
        self.joints = {name: 0.0 for name in JOINTS}  # degrees; the gripper 0 to 100
        self.joints["gripper"] = 50.0
        self.goals: list[dict[str, float]] = []
        self.blocked = False

    @property
    def observation_features(self) -> Mapping[str, Any]:
        joints = {f"{name}.pos": float for name in JOINTS}
        return {**joints, "voltage": float, "front": (6, 8, 3)}

    @property
    def action_features(self) -> Mapping[str, Any]:
        return {f"{name}.pos": float for name in JOINTS}

    def connect(self, calibrate: bool = True) -> None:
        self.is_connected = True

    def get_observation(self) -> dict[str, Any]:
        seen: dict[str, Any] = {f"{name}.pos": self.joints[name] for name in JOINTS}
        return {**seen, "voltage": 12.0, "front": np.zeros((6, 8, 3), np.uint8)}

    def send_action(self, action: dict[str, Any]) -> dict[str, Any]:
        self.goals.append(dict(action))
        if not self.blocked:
            self.joints = {name: action[f"{name}.pos"] for name in JOINTS}
        return action


class Hand:
    """What LeRobot documents of a `Teleoperator`: a leader arm that somebody holds."""

    def __init__(self, joints: Mapping[str, float]) -> None:
        self.is_connected = False
        self.joints = dict(joints)

    @property
    def action_features(self) -> Mapping[str, Any]:
        return {f"{name}.pos": float for name in self.joints}

    def connect(self, calibrate: bool = True) -> None:
        self.is_connected = True

    def get_action(self) -> dict[str, float]:
        return {f"{name}.pos": value for name, value in self.joints.items()}


def robot_of(arm: Follower, **options: Any) -> LeRobotRobot:
    options.setdefault("degrees", True)
    return LeRobotRobot(arm, "arm", encoder=lambda _: b"\xff\xd8\xff\xd9", **options)


class Alone(unittest.TestCase):
    def later(self) -> int:
        return time.monotonic_ns() + 10**9

    def test_joints_are_rad_and_a_gripper_a_share(self) -> None:
        arm = Follower()
        robot = robot_of(arm)
        self.assertTrue(arm.is_connected)
        units = [(channel.name, channel.unit) for channel in robot.spec.action]
        self.assertEqual(units, [("shoulder", "rad/s"), ("elbow", "rad/s"), ("gripper", "1/s")])
        self.assertEqual(robot.spec.proprioception[3].name, "voltage")
        self.assertEqual(robot.spec.cameras, (nudge.Camera("front", 8, 6),))
        arm.joints["shoulder"] = 90.0
        seen = robot.observe()
        np.testing.assert_allclose(np.asarray(seen.proprioception), [math.pi / 2, 0, 0.5, 12])
        np.testing.assert_allclose(np.asarray(seen.object_state), [math.pi / 2, 0, 0.5])

    def test_rates_move_the_goal_by_a_control_period(self) -> None:
        arm = Follower()
        robot = robot_of(arm, speed=0.5)
        robot.observe()
        robot.apply(np.array([1, -1, 0], np.float32), self.later())
        way = math.degrees(0.5 * 0.02)
        self.assertAlmostEqual(arm.goals[-1]["shoulder.pos"], way, places=4)
        self.assertAlmostEqual(arm.goals[-1]["elbow.pos"], -way, places=4)
        self.assertAlmostEqual(arm.goals[-1]["gripper.pos"], 50.0, places=4)

    def test_the_goal_of_an_arm_that_is_blocked_stays_near_it(self) -> None:
        arm = Follower()
        arm.blocked = True
        robot = robot_of(arm, speed=10.0, lead=0.1)
        for _ in range(20):
            robot.observe()
            robot.apply(np.array([1, 0, 0], np.float32), self.later())
        self.assertAlmostEqual(arm.goals[-1]["shoulder.pos"], math.degrees(0.1), places=3)

    def test_the_goal_stays_within_the_joints_range(self) -> None:
        arm = Follower()
        arm.joints["gripper"] = 99.9
        robot = robot_of(arm, speed=50.0, lead=1.0)
        robot.observe()
        robot.apply(np.array([0, 0, 1], np.float32), self.later())
        self.assertAlmostEqual(arm.goals[-1]["gripper.pos"], 100.0, places=3)

    def test_a_hold_leaves_the_goal_where_it_is(self) -> None:
        arm = Follower()
        robot = robot_of(arm)
        robot.observe()
        robot.apply(np.array([1, 0, 0], np.float32), self.later())
        count = len(arm.goals)
        robot.hold()
        robot.observe()
        self.assertEqual(len(arm.goals), count)

    def test_features_that_are_no_positions_are_refused(self) -> None:
        arm = Follower()
        for features in ({"shoulder.vel": float}, {"wrist.pos": float}):
            type(arm).action_features = property(lambda _, f=features: f)  # type: ignore
            try:
                with self.subTest(features), self.assertRaises(NudgeError):
                    robot_of(arm)
            finally:
                type(arm).action_features = property(  # type: ignore
                    lambda _: {f"{name}.pos": float for name in JOINTS}
                )


class WithTheDaemon(RobotCase):
    def test_a_leader_arm_drives_once_it_is_where_the_robot_is(self) -> None:
        arm = Follower()
        self.serve(robot_of(arm))
        self.start_daemon()
        supervisor = self.supervisor(robot="arm")
        hand = Hand({"shoulder": 60.0, "elbow": 0.0, "gripper": 50.0})
        leader = Leader(hand, supervisor, self.daemon.robot(), degrees=True)
        self.assertTrue(hand.is_connected)

        far: list[int] = []
        before: list[float] = []

        def until(state: nudge.State) -> bool:
            if state.state == Authority.TAKEOVER:
                far.append(state.tick)
                if len(far) == 30:
                    before.append(arm.joints["shoulder"])  # not jerked to the hand
                    hand.joints["shoulder"] = 3.0
            if state.state == Authority.HUMAN and hand.joints["shoulder"] < 20:
                hand.joints["shoulder"] = 20.0
            return bool(arm.joints["shoulder"] > 15)

        # Again when the robot was taken away: a busy machine does that.
        while arm.joints["shoulder"] <= 15:
            with contextlib.suppress(NudgeError):
                if supervisor.state().state == Authority.FAULT_HOLD:
                    supervisor.reset_fault()
                leader.drive(until)
        self.assertEqual(before, [0.0])
        self.assertGreater(arm.joints["shoulder"], 15)
        supervisor.wait_for(lambda state: state.state != Authority.HUMAN)

    def test_an_arm_of_other_joints_is_refused(self) -> None:
        self.serve(robot_of(Follower()))
        self.start_daemon()
        supervisor = self.supervisor(robot="arm")
        for hand, degrees in (
            (Hand({"wrist": 0.0}), True),
            (Hand({n: 0.0 for n in JOINTS}), False),
        ):
            with self.assertRaises(NudgeError) as caught:
                Leader(hand, supervisor, self.daemon.robot(), degrees=degrees)
            self.assertIn("shoulder", caught.exception.message)


if __name__ == "__main__":
    support.main()
