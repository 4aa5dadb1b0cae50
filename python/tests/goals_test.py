#!/usr/bin/env python3
"""Positions for robots that take positions, made of the rates by which they are commanded."""

from __future__ import annotations

import unittest

import numpy as np
import support

import nudge
from nudge import NudgeError
from nudge.goals import Goals


def goals() -> Goals:
    return Goals(
        nudge.RobotSpec(
            id="arm",
            action=[
                nudge.Channel("elbow", "rad/s", -2, 1, absolute=True),
                nudge.Channel("base", "m/s", -1, 1),
            ],
            proprioception=[nudge.Channel("hand", "1", 0, 1), nudge.Channel("elbow", "rad", -1, 1)],
            control_period_ns=10_000_000,
        )
    )


def at(place: float) -> np.ndarray:  # type: ignore[type-arg]
    return np.array([0.0, place], np.float32)


class AGoal(unittest.TestCase):
    def test_begins_where_the_robot_is_and_moves_at_the_rate(self) -> None:
        made = goals()
        np.testing.assert_allclose(made.command(np.array([0.5, 0.25]), at(0.3)), [0.305, 0.25])
        np.testing.assert_allclose(made.command(np.array([-0.5, 0]), at(0.3)), [0.295, 0])

    def test_does_not_push_a_blocked_robot_further_and_further(self) -> None:
        made = goals()
        for _ in range(1000):
            command = made.command(np.array([1.0, 0.0]), at(0.0))
        self.assertAlmostEqual(float(command[0]), 0.5)

    def test_begins_anew_after_a_hold(self) -> None:
        made = goals()
        made.command(np.array([1.0, 0.0]), at(0.0))
        made.forget()
        self.assertAlmostEqual(float(made.command(np.array([0.0, 0.0]), at(-0.4))[0]), -0.4)

    def test_stays_within_the_bounds_and_is_never_made_of_what_is_no_number(self) -> None:
        made = goals()
        self.assertEqual(float(made.command(np.array([1.0, 0.0]), at(1.2))[0]), 1.0)
        with self.assertRaises(NudgeError):
            made.command(np.array([1.0, 0.0]), at(float("nan")))


class ASpec(unittest.TestCase):
    def test_of_an_absolute_channel_needs_its_position(self) -> None:
        absolute = nudge.Channel("elbow", "rad/s", -1, 1, absolute=True)
        with self.assertRaises(NudgeError) as wrong:
            nudge.RobotSpec(id="arm", action=[absolute])
        self.assertIn("'elbow'", str(wrong.exception))

    def test_has_no_two_channels_or_cameras_of_one_name(self) -> None:
        x = nudge.Channel("x", "m/s", -1, 1)
        with self.assertRaises(NudgeError):
            nudge.RobotSpec(id="arm", action=[x, x])
        with self.assertRaises(NudgeError):
            nudge.RobotSpec(id="arm", action=[x], cameras=[nudge.Camera("front", 8, 8)] * 2)


if __name__ == "__main__":
    support.main()
