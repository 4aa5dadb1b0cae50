"""LeRobot's robots and teleoperators, as robots and supervisors of Nudge.

LeRobot is not imported: whatever has the methods of its `Robot` and `Teleoperator` works.

    robot = nudge.lerobot.LeRobotRobot(SO101Follower(config), "so101", degrees=True)
    robot.run()

    leader = nudge.lerobot.Leader(SO101Leader(config), supervisor, daemon.robot(), degrees=True)
    leader.drive()
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from nudge.images import Encoder, Image
from nudge.robot import Observation, Robot
from nudge.spec import Camera, Channel, RobotSpec
from nudge.status import Code, NudgeError
from nudge.supervisor import Command, Supervisor
from nudge.wire import Floats, State

_POSITION = ".pos"


class LeRobot(Protocol):
    """What is used of LeRobot's `Robot`."""

    @property
    def observation_features(self) -> Mapping[str, Any]:
        """Name of each number (its type) and camera (its shape)."""

    @property
    def action_features(self) -> Mapping[str, Any]:
        """Name of each goal."""

    @property
    def is_connected(self) -> bool:
        """Whether it was connected."""

    def connect(self) -> None:
        """Opens its buses and cameras."""

    def get_observation(self) -> Mapping[str, Any]:
        """What it measures and sees now."""

    def send_action(self, action: dict[str, Any]) -> Any:
        """Goals for all joints; gives those that it took."""


class LeRobotTeleoperator(Protocol):
    """What is used of LeRobot's `Teleoperator`."""

    @property
    def action_features(self) -> Mapping[str, Any]:
        """Name of each goal."""

    @property
    def is_connected(self) -> bool:
        """Whether it was connected."""

    def connect(self) -> None:
        """Opens its bus."""

    def get_action(self) -> Mapping[str, Any]:
        """Where a person holds it now, as goals for the robot."""


@dataclass(frozen=True)
class _Joint:
    """LeRobot's number times `factor` is ours, in `unit`."""

    name: str
    unit: str
    factor: float
    lower: float
    upper: float


def _joints(features: Mapping[str, Any], degrees: bool, not_angles: Sequence[str]) -> list[_Joint]:
    """LeRobot's joints are in degrees, or in hundredths of their range; a gripper never in degrees.

    Ours are in rad, or shares of the range.
    """
    joints = []
    for feature in features:
        if not feature.endswith(_POSITION):
            raise NudgeError(
                Code.INVALID_ARGUMENT,
                f"the action feature '{feature}' is no position ('{_POSITION}'); only arms that "
                "are told where their joints shall be can be driven",
            )
        name = feature.removesuffix(_POSITION)
        if degrees and name not in not_angles:
            joints.append(_Joint(name, "rad", math.pi / 180, -math.pi, math.pi))
        else:
            joints.append(_Joint(name, "1", 0.01, 0.0 if name in not_angles else -1.0, 1.0))
    return joints


class LeRobotRobot(Robot):
    """An arm whose joints are told where to be. The daemon drives them by rates.

    The rate of each joint is added up to a goal that never leads the measured joint by more than
    `lead`, so that an arm that is blocked, held or stopped goes no further than that. `hold()`
    leaves the goal where it is.
    """

    def __init__(
        self,
        arm: LeRobot,
        id: str,
        *,
        degrees: bool = False,
        speed: float = 0.5,
        lead: float = 0.15,
        not_angles: Sequence[str] = ("gripper",),
        object_state: Callable[[Mapping[str, Any]], ArrayLike] | None = None,
        object_state_channels: Sequence[Channel] = (),
        success: Callable[[Mapping[str, Any]], bool] | None = None,
        home: Callable[[int], None] | None = None,
        frames_per_s: float = 10.0,
        control_period_ns: int = 20_000_000,
        policy_period_ns: int = 100_000_000,
        encoder: Encoder | None = None,
    ) -> None:
        """Connects `arm`, if it is not. `degrees`: as the arm was configured (`use_degrees`).

        `speed` (rad/s, or shares of the range a second) is what +1 stands for; `lead` (rad, or a
        share) how far the goal may be ahead. `object_state`: poses from your own perception, of one
        observation; by default the joints again, for a policy that sees nothing else. `home`:
        prepares a new episode, for example moves the arm; by default a person does.

        INVALID_ARGUMENT: the arm's actions are no positions that it also measures, or an option.
        """
        if not arm.is_connected:
            arm.connect()
        self.arm = arm
        self._joints = _joints(arm.action_features, degrees, not_angles)
        measured = arm.observation_features
        for joint in self._joints:
            if joint.name + _POSITION not in measured:
                raise NudgeError(
                    Code.INVALID_ARGUMENT, f"the arm does not measure joint '{joint.name}'"
                )
        if speed <= 0 or lead <= 0:
            raise NudgeError(Code.INVALID_ARGUMENT, "speed and lead must be above 0")
        if object_state is not None and not object_state_channels:
            raise NudgeError(Code.INVALID_ARGUMENT, "object_state needs object_state_channels")
        self._more = [
            name
            for name, kind in measured.items()
            if not isinstance(kind, tuple) and name.removesuffix(_POSITION) not in self._names
        ]
        self._cameras = [name for name, kind in measured.items() if isinstance(kind, tuple)]
        self._speed, self._lead = speed, lead
        self._object_state, self._success, self._home = object_state, success, home
        self._between_frames_ns = round(1e9 / frames_per_s)
        self._next_frames_ns = 0
        self._period_ns = control_period_ns
        self._measured: Floats | None = None  # [joints]
        self._goal: Floats | None = None
        self._applied_ns = 0
        self._held = threading.Event()
        self._held.set()
        channels = [Channel(j.name, j.unit, j.lower, j.upper) for j in self._joints]
        super().__init__(
            RobotSpec(
                id=id,
                action=[Channel(j.name, f"{j.unit}/s", -speed, speed) for j in self._joints],
                proprioception=[*channels, *(Channel(name, "1", -1, 1) for name in self._more)],
                object_state=object_state_channels or channels,
                cameras=[Camera(n, measured[n][1], measured[n][0]) for n in self._cameras],
                control_period_ns=control_period_ns,
                policy_period_ns=policy_period_ns,
            ),
            encoder=encoder,
        )

    @property
    def _names(self) -> list[str]:
        return [joint.name for joint in self._joints]

    def reset(self, seed: int) -> None:
        """What `home` does."""
        self.hold()
        if self._home is not None:
            self._home(seed)
        self._goal = None

    def observe(self) -> Observation:
        """What the arm measures and sees."""
        time_ns = time.monotonic_ns()
        seen = self.arm.get_observation()
        joints = np.array(
            [float(seen[j.name + _POSITION]) * j.factor for j in self._joints], np.float32
        )
        self._measured = joints
        more = np.array([float(seen[name]) for name in self._more], np.float32)
        images = []
        if self._cameras and time_ns >= self._next_frames_ns:
            self._next_frames_ns = time_ns + self._between_frames_ns
            images = [
                Image(name, np.asarray(seen[name], np.uint8), captured_ns=time_ns)
                for name in self._cameras
            ]
        return Observation(
            np.concatenate([joints, more]),
            joints if self._object_state is None else self._object_state(seen),
            images=images,
            success=self._success is not None and self._success(seen),
            time_ns=time_ns,
        )

    def apply(self, action: Floats, deadline_ns: int) -> None:
        """Moves the goal by one control period's way; the arm stops there by itself."""
        if self._measured is None:
            raise NudgeError(Code.FAILED_PRECONDITION, "the arm has not been measured yet")
        now = time.monotonic_ns()
        if self._goal is None:
            self._goal = self._measured.copy()
        passed = min(now - self._applied_ns, 2 * self._period_ns)
        if self._held.is_set():
            passed = self._period_ns  # it stood since
            self._held.clear()
        self._applied_ns = now
        goal = self._goal + np.clip(action, -1, 1) * np.float32(self._speed * passed / 1e9)
        goal = np.clip(goal, self._measured - self._lead, self._measured + self._lead)
        goal = np.clip(goal, [j.lower for j in self._joints], [j.upper for j in self._joints])
        self._goal = goal.astype(np.float32)
        self.arm.send_action(
            {
                j.name + _POSITION: float(value) / j.factor
                for j, value in zip(self._joints, self._goal, strict=True)
            }
        )

    def hold(self) -> None:
        """The goal stays where it is."""
        self._held.set()


class Leader:
    """A leader arm in a person's hand, as a supervisor's device.

    Its joints are where the robot's shall be: each command is the rate that gets the robot there
    within `horizon_s`, and carries the joints, so that the daemon lets it drive only once the arm
    is where the robot is.
    """

    def __init__(
        self,
        teleoperator: LeRobotTeleoperator,
        supervisor: Supervisor,
        robot: Mapping[str, Any],
        *,
        degrees: bool = False,
        not_angles: Sequence[str] = ("gripper",),
        horizon_s: float = 0.1,
    ) -> None:
        """Connects the teleoperator, if it is not. `robot`: from `Daemon.robot()`.

        `degrees`: as the leader was configured. INVALID_ARGUMENT: its joints are not the robot's.
        """
        if not teleoperator.is_connected:
            teleoperator.connect()
        self._teleoperator, self._supervisor = teleoperator, supervisor
        self._horizon_s = horizon_s
        joints = {j.name: j for j in _joints(teleoperator.action_features, degrees, not_angles)}
        measured = {channel["name"]: i for i, channel in enumerate(robot["proprioception"])}
        self._axes: list[tuple[_Joint, int, float]] = []  # joint, where it is measured, rate of +1
        for channel in robot["action"]:
            name, unit = channel["name"], channel["unit"]
            joint = joints.get(name)
            if joint is None or name not in measured or unit != f"{joint.unit}/s":
                raise NudgeError(
                    Code.INVALID_ARGUMENT,
                    f"the robot's '{name}' ({unit}) is no joint of the leader arm; it has "
                    f"{', '.join(f'{j.name} ({j.unit}/s)' for j in joints.values())}",
                )
            self._axes.append((joint, measured[name], float(channel["upper"])))

    def command(self, state: State) -> Command:
        """What the leader arm tells the robot, which is in this state, to do."""
        held = self._teleoperator.get_action()
        joints = np.array(
            [float(held[j.name + _POSITION]) * j.factor for j, _, _ in self._axes], np.float32
        )
        there = state.proprioception[[i for _, i, _ in self._axes]]
        full = np.array([upper for _, _, upper in self._axes], np.float32)
        rates = np.clip((joints - there) / (full * np.float32(self._horizon_s)), -1, 1)
        return Command(rates, joints)

    def drive(self, until: Callable[[State], bool] = lambda _: False) -> None:
        """Takes over and drives, until `until(state)` or the robot is taken away. It then holds."""
        self._supervisor.takeover()

        def follow(state: State) -> Command | None:
            return None if until(state) else self.command(state)

        self._supervisor.drive(follow)
