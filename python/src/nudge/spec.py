"""What a robot is: its channels, cameras and periods, as its hello tells the daemon."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nudge.status import Code, NudgeError

MAX_CHANNELS = 256  # of proprioception, and of object state
MAX_ACTION_CHANNELS = 64
MAX_CAMERAS = 16
MAX_PIXELS = 8192  # of a side
LONGEST_NAME = 64  # bytes
LONGEST_UNIT = 16  # bytes
LONGEST_CONTROL_PERIOD_NS = 20_000_000
LONGEST_POLICY_PERIOD_NS = 60_000_000_000


def _wrong(message: str) -> NudgeError:
    return NudgeError(Code.INVALID_ARGUMENT, message)


def printable(text: str, limit: int) -> bool:
    """Whether `text` is 1 to `limit` bytes of printable ASCII."""
    return 1 <= len(text) <= limit and all(" " <= letter <= "~" for letter in text)


@dataclass(frozen=True)
class Channel:
    """One named number of an observation or an action.

    `lower` and `upper` are in `unit`. Of an action channel they are the rates that -1 and +1 stand
    for ("m/s", "rad/s"); of an observation the smallest and largest meaningful values.

    `absolute`, of an action: the robot takes a position. It is commanded by rates all the same, and
    `apply()` is given the position that comes of them, in the unit and the bounds of the
    proprioception channel of this name. `gripper`, of an action: opens (towards `upper`) and closes
    the hand.
    """

    name: str
    unit: str
    lower: float
    upper: float
    absolute: bool = False
    gripper: bool = False

    def to_json(self) -> dict[str, Any]:
        """As in the hello; the bounds travel as 32-bit floats."""
        return {
            "name": self.name,
            "unit": self.unit,
            "lower": float(np.float32(self.lower)),
            "upper": float(np.float32(self.upper)),
            **({"absolute": True} if self.absolute else {}),
            **({"gripper": True} if self.gripper else {}),
        }

    def check(self, where: str) -> None:
        """Raises INVALID_ARGUMENT when the daemon would refuse it."""
        if not printable(self.name, LONGEST_NAME):
            raise _wrong(f"{where} needs a name of 1 to 64 printable bytes")
        if not printable(self.unit, LONGEST_UNIT):
            raise _wrong(f"{where} needs a unit of 1 to 16 printable bytes")
        if not (math.isfinite(self.lower) and math.isfinite(self.upper)):
            raise _wrong(f"{where} needs finite bounds")
        if self.lower > self.upper:
            raise _wrong(f"{where} needs its lower bound first")


@dataclass(frozen=True)
class Camera:
    """A camera: frames are `height` x `width` x 3, in pixels."""

    name: str
    width: int
    height: int


@dataclass(frozen=True)
class RobotSpec:
    """What the daemon drives; constant over the robot's life.

    Actions are normalised rates in [-1, 1], one per channel of `action`, for one control period:
    +1 moves at the channel's `upper` per second, 0 is "stay". The policy's period is a multiple
    of the control period, which is at most 20 ms.
    """

    id: str
    action: Sequence[Channel]
    proprioception: Sequence[Channel] = ()
    object_state: Sequence[Channel] = ()
    cameras: Sequence[Camera] = ()
    control_period_ns: int = 20_000_000
    policy_period_ns: int = 100_000_000

    def __post_init__(self) -> None:
        for name in ("action", "proprioception", "object_state", "cameras"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        self._check()

    def _check(self) -> None:
        if not printable(self.id, LONGEST_NAME):
            raise _wrong("a robot's id must be 1 to 64 printable bytes")
        if not 0 < self.control_period_ns <= LONGEST_CONTROL_PERIOD_NS:
            raise _wrong("a robot's control period must be above 0 and at most 20 ms")
        if (
            not self.control_period_ns <= self.policy_period_ns <= LONGEST_POLICY_PERIOD_NS
            or self.policy_period_ns % self.control_period_ns != 0
        ):
            raise _wrong(
                "a robot's policy period must be a multiple of its control period, at most 60 s"
            )
        if not self.action:
            raise _wrong("a robot needs an action channel")
        for name, limit in (
            ("proprioception", MAX_CHANNELS),
            ("object_state", MAX_CHANNELS),
            ("action", MAX_ACTION_CHANNELS),
        ):
            channels = getattr(self, name)
            if len(channels) > limit:
                raise _wrong(f"{name} has {len(channels)} channels, more than {limit}")
            names: dict[str, int] = {}
            for number, channel in enumerate(channels):
                where = f"{name} channel {number}"
                channel.check(where)
                if (same := names.setdefault(channel.name, number)) != number:
                    raise _wrong(
                        f"{where} is called '{channel.name}' like channel {same}; "
                        "give each a name of its own"
                    )
        measured = {(channel.name, f"{channel.unit}/s") for channel in self.proprioception}
        for number, channel in enumerate(self.action):
            if channel.absolute and (channel.name, channel.unit) not in measured:
                raise _wrong(
                    f"action channel {number} ('{channel.name}') is absolute and in "
                    f"{channel.unit}, so proprioception needs a channel of the same name with its "
                    "position, in that unit without /s"
                )
        if len(self.cameras) > MAX_CAMERAS:
            raise _wrong("a robot may have at most 16 cameras")
        if len({camera.name for camera in self.cameras}) < len(self.cameras):
            raise _wrong("two cameras have the same name; give each a name of its own")
        for camera in self.cameras:
            if (
                not printable(camera.name, LONGEST_NAME)
                or not 1 <= camera.width <= MAX_PIXELS
                or not 1 <= camera.height <= MAX_PIXELS
            ):
                raise _wrong(
                    "a camera needs a name of 1 to 64 printable bytes and sides of 1 to 8192 pixels"
                )

    def to_json(self) -> dict[str, Any]:
        """As the hello's `robot`."""
        return {
            "id": self.id,
            "control_period_ns": self.control_period_ns,
            "policy_period_ns": self.policy_period_ns,
            "proprioception": [channel.to_json() for channel in self.proprioception],
            "object_state": [channel.to_json() for channel in self.object_state],
            "action": [channel.to_json() for channel in self.action],
            "cameras": [
                {"name": camera.name, "width": camera.width, "height": camera.height}
                for camera in self.cameras
            ],
        }
