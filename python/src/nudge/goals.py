"""Positions for a robot that takes positions, from the rates by which the daemon commands."""

from __future__ import annotations

import math

import numpy as np

from nudge.spec import Channel, RobotSpec
from nudge.status import Code, NudgeError
from nudge.wire import Floats

LEAD_S = 0.25  # at full rate: how far a goal may be ahead of what is measured


class Goals:
    """The goal of each absolute channel: it begins where the robot is, and moves at the rate.

    It stays within the bounds of the measured channel, and leads the robot by no more than a
    quarter of a second at full rate: one that is blocked is not pushed further and further.
    """

    def __init__(self, spec: RobotSpec) -> None:
        names = [channel.name for channel in spec.proprioception]
        self._channels: list[tuple[int, Channel, int, Channel]] = []
        for number, channel in enumerate(spec.action):
            if channel.absolute:
                at = names.index(channel.name)
                self._channels.append((number, channel, at, spec.proprioception[at]))
        self._period_s = spec.control_period_ns * 1e-9
        self._goals: dict[int, float] = {}

    def forget(self) -> None:
        """The robot was held, or reset: the next goal begins where it is then."""
        self._goals.clear()

    def command(self, action: Floats, measured: Floats) -> Floats:
        """`action` with positions in place of the rates of absolute channels."""
        if not self._channels:
            return action
        result = np.array(action, np.float32)
        for number, channel, at, seen in self._channels:
            here = float(measured[at])
            rate = float(action[number])
            speed = rate * channel.upper if rate >= 0 else -rate * channel.lower
            lead = LEAD_S * max(abs(channel.lower), abs(channel.upper))
            goal = self._goals.get(number, here) + speed * self._period_s
            goal = min(max(goal, here - lead), here + lead)
            goal = min(max(goal, float(seen.lower)), float(seen.upper))
            if not math.isfinite(here):  # no bound makes a number of it
                self.forget()
                raise NudgeError(
                    Code.INVALID_ARGUMENT, f"the position of '{channel.name}' is not finite"
                )
            self._goals[number] = goal
            result[number] = goal
        return result
