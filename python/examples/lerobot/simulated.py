"""Two arms with LeRobot's interface and no hardware, so that the example runs anywhere."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

JOINTS = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")


class SimulatedFollower:
    """Its joints follow their goals at once; degrees, the gripper 0 to 100."""

    def __init__(self) -> None:
        self.is_connected = False
        self.joints = dict.fromkeys(JOINTS, 0.0)

    @property
    def observation_features(self) -> Mapping[str, Any]:
        """As of an SO-101 without cameras."""
        return {f"{name}.pos": float for name in JOINTS}

    @property
    def action_features(self) -> Mapping[str, Any]:
        """The same."""
        return self.observation_features

    def connect(self) -> None:
        """There is nothing to open."""
        self.is_connected = True

    def get_observation(self) -> dict[str, Any]:
        """Where the joints are."""
        return {f"{name}.pos": value for name, value in self.joints.items()}

    def send_action(self, action: dict[str, Any]) -> dict[str, Any]:
        """Where they shall be."""
        self.joints = {name: float(action[f"{name}.pos"]) for name in JOINTS}
        return action


class SimulatedLeader:
    """Somebody turns its base to and fro."""

    def __init__(self) -> None:
        self.is_connected = False
        self._begun = 0.0

    @property
    def action_features(self) -> Mapping[str, Any]:
        """As of an SO-101 leader."""
        return {f"{name}.pos": float for name in JOINTS}

    def connect(self) -> None:
        """It begins where the robot is."""
        self.is_connected = True
        self._begun = time.monotonic()

    def get_action(self) -> dict[str, Any]:
        """Where the hand is."""
        held = dict.fromkeys(JOINTS, 0.0)
        held["shoulder_pan"] = 15 * math.sin(time.monotonic() - self._begun)
        return {f"{name}.pos": value for name, value in held.items()}
