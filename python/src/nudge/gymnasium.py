"""Any gymnasium environment with continuous actions as a robot, in real time.

Gymnasium is not imported: whatever has the methods of its `Env` works.

env = gymnasium.make("FetchReach-v4")
robot = nudge.gymnasium.GymnasiumRobot(
    env, "fetch", proprioception=lambda seen: seen["observation"],
    object_state=lambda seen: seen["desired_goal"])
robot.run()
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from nudge.images import Encoder, Image
from nudge.robot import Observation, Robot
from nudge.spec import Camera, Channel, RobotSpec
from nudge.status import Code, NudgeError
from nudge.wire import Floats

Mapped: TypeAlias = Callable[[Any], ArrayLike]
Succeeded: TypeAlias = Callable[[Any, float, bool, Mapping[str, Any]], bool]
_LONGEST_CONTROL_S = 0.02
_SCALE = 10.0  # of channels of which the environment does not say their bounds


class Environment(Protocol):
    """What is used of gymnasium's `Env`."""

    @property
    def action_space(self) -> Any:
        """A `Box`: `low`, `high` and `dtype`."""

    @property
    def metadata(self) -> Mapping[str, Any]:
        """`render_fps`, unless the environment has a `dt`."""

    @property
    def render_mode(self) -> str | None:
        """`rgb_array`: `render()` gives a picture."""

    @property
    def unwrapped(self) -> Any:
        """The environment without wrappers; its `dt` is how long a step lasts, in s."""

    def reset(self, *, seed: int | None = None) -> tuple[Any, Mapping[str, Any]]:
        """The first observation of an episode."""

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, Mapping[str, Any]]:
        """Observation, reward, terminated, truncated, info."""

    def render(self) -> Any:
        """A picture, [height, width, 3] of uint8."""


def _wrong(message: str) -> NudgeError:
    return NudgeError(Code.INVALID_ARGUMENT, message)


def flat(seen: Any) -> Floats:
    """All numbers of an observation as one vector; those of a dictionary in the order of keys."""
    if isinstance(seen, Mapping):
        return np.concatenate([flat(seen[key]) for key in sorted(seen)])
    return np.asarray(seen, np.float32).ravel()


def _says_so(_: Any, __: float, ___: bool, info: Mapping[str, Any]) -> bool:
    return bool(info.get("is_success", info.get("success", False)))


def _step_s(env: Any) -> float:
    """How long one step of the environment lasts."""
    found = getattr(env.unwrapped, "dt", None)
    if found is None and env.metadata.get("render_fps"):
        found = 1.0 / float(env.metadata["render_fps"])
    if found is None:
        raise _wrong("the environment does not say how long its step is: give step_s")
    return float(found)


class GymnasiumRobot(Robot):
    """An environment that is stepped in real time by the thread that calls `run()`.

    Its actions become normalised rates: -1 and +1 are the bounds of its action space, 0 their
    middle, which is what it is given while the robot holds. So an environment whose middle does not
    stand still (a torque, on an arm without friction) does not quite hold. Where `action_channels`
    are absolute, the environment takes positions, and holds the newest one.
    """

    def __init__(
        self,
        env: Environment,
        id: str,
        *,
        proprioception: Mapped = flat,
        object_state: Mapped = flat,
        proprioception_channels: Sequence[Channel] | None = None,
        object_state_channels: Sequence[Channel] | None = None,
        action_channels: Sequence[Channel] | None = None,
        success: Succeeded = _says_so,
        ends: Sequence[str] = ("terminated",),
        step_s: float | None = None,
        policy_period_s: float = 0.1,
        camera: str = "view",
        encoder: Encoder | None = None,
    ) -> None:
        """`proprioception` and `object_state` map an observation to a vector; by default all of it.

        Channels: names, units and bounds; by default numbered, without a unit. `success`: of an
        observation, reward, terminated, info; by default what info says. `ends`: which of the
        environment's endings, "terminated" and "truncated", end the episode; by default not its
        time limit, which is the daemon's to set and knows nothing of people. `step_s`: of the
        environment; by default its own `dt`. `policy_period_s`: rounded to whole steps of it.
        `camera`: the name under which `render()` is shown, once each policy period, when the
        environment renders to arrays.

        INVALID_ARGUMENT: its actions are not continuous and bounded, or an option.
        """
        space = env.action_space
        low, high = getattr(space, "low", None), getattr(space, "high", None)
        if not isinstance(low, np.ndarray) or not isinstance(high, np.ndarray) or low.ndim != 1:
            raise _wrong(f"the environment's actions are {space}; a robot needs a vector, Box(n,)")
        if not np.issubdtype(low.dtype, np.floating):
            raise _wrong(f"the environment's actions are {space}; a robot's are continuous")
        if not (np.isfinite(low).all() and np.isfinite(high).all()):
            raise _wrong("the environment's actions have no bounds")
        self.env = env
        self._middle = (high + low) / 2
        self._half = (high - low) / 2
        self._type = low.dtype
        self._proprioception, self._object_state = proprioception, object_state
        self._success = success
        for end in ends:
            if end not in ("terminated", "truncated"):
                raise _wrong(f"ends has '{end}'; it may have terminated and truncated")
        self._ends = frozenset(ends)

        step = _step_s(env) if step_s is None else step_s
        if step <= 0:
            raise _wrong(f"a step of {step:g} s")
        self._ticks = max(1, math.ceil(step / _LONGEST_CONTROL_S - 1e-9))  # control ticks of a step
        control_ns = round(step * 1e9 / self._ticks)
        steps = max(1, round(policy_period_s / step))  # of the environment in a policy period
        self._between_frames = steps

        self._seen, _ = env.reset(seed=0)
        self._time_ns = time.monotonic_ns()
        self._done, self._over = False, ""
        self._tick = self._steps = 0
        self._frame: Image | None = None
        self._guard = threading.Lock()  # of the two below: hold() comes from another thread
        self._action: Floats | None = None  # None: hold
        self._deadline_ns = 0

        self._camera = ""
        cameras: list[Camera] = []
        if env.render_mode == "rgb_array":
            self._camera = camera
            self._look()
            assert self._frame is not None and self._frame.pixels is not None
            height, width, _ = self._frame.pixels.shape
            cameras.append(Camera(camera, width, height))
        super().__init__(
            RobotSpec(
                id=id,
                action=action_channels
                or [Channel(f"action_{i}", "1/s", -1, 1) for i in range(len(low))],
                proprioception=proprioception_channels or self._numbered("proprioception"),
                object_state=object_state_channels or self._numbered("object_state"),
                cameras=cameras,
                control_period_ns=control_ns,
                policy_period_ns=control_ns * self._ticks * steps,
            ),
            encoder=encoder,
        )
        names = [channel.name for channel in self.spec.proprioception]
        self._places = {  # of absolute channels: action to proprioception
            number: names.index(channel.name)
            for number, channel in enumerate(self.spec.action)
            if channel.absolute
        }
        self._goal: Any = None  # newest action; of the absolute channels, their positions

    def _numbered(self, what: str) -> list[Channel]:
        size = len(flat(getattr(self, f"_{what}")(self._seen)))
        return [Channel(f"{what}_{i}", "1", -_SCALE, _SCALE) for i in range(size)]

    def _look(self) -> None:
        pixels = self.env.render()
        captured = time.monotonic_ns()
        if not isinstance(pixels, np.ndarray) or pixels.ndim != 3:
            raise _wrong("the environment's render() gives no picture")
        self._frame = Image(self._camera, np.asarray(pixels, np.uint8), captured_ns=captured)

    @property
    def seen(self) -> Any:
        """The environment's newest observation. The thread that runs the robot."""
        return self._seen

    def reset(self, seed: int) -> None:
        """A new episode; equal seeds give equal starts."""
        self.hold()
        self._seen, _ = self.env.reset(seed=seed % (1 << 31))
        self._goal = None
        self._time_ns = time.monotonic_ns()
        self._done, self._over = False, ""
        self._tick = self._steps = 0

    def observe(self) -> Observation:
        """Steps the environment when its step is over, and tells what it shows."""
        self._tick += 1
        if self._tick % self._ticks == 0:
            # Gymnasium defines no step behind the last one: the scene stands until the reset.
            if self._over:
                self._time_ns = time.monotonic_ns()
            else:
                self._step()
        return Observation(
            flat(self._proprioception(self._seen)),
            flat(self._object_state(self._seen)),
            images=(self._frame,) if self._frame is not None else (),
            success=self._done,
            over=self._over,
            time_ns=self._time_ns,
        )

    def _step(self) -> None:
        with self._guard:
            action = self._action
            if time.monotonic_ns() > self._deadline_ns:
                action = None
        rates = np.zeros_like(self._middle) if action is None else np.clip(action, -1, 1)
        command = self._middle + self._half * rates
        if self._places:
            if action is not None:
                self._goal = np.asarray(action, np.float64)
            elif self._goal is None:
                self._goal = self._here()
            low, high = self._middle - self._half, self._middle + self._half
            for number in self._places:
                command[number] = np.clip(self._goal[number], low[number], high[number])
        self._seen, reward, terminated, truncated, info = self.env.step(
            np.asarray(command, self._type)
        )
        if terminated and "terminated" in self._ends:
            self._over = "terminated"
        elif truncated and "truncated" in self._ends:
            self._over = "truncated"
        self._time_ns = time.monotonic_ns()
        self._done = self._success(self._seen, float(reward), bool(terminated), info)
        self._steps += 1
        if self._camera and self._steps % self._between_frames == 0:
            self._look()

    def _here(self) -> Any:
        """Where each absolute channel is now, in the place of its action."""
        here = np.array(self._middle, np.float64)
        measured = flat(self._proprioception(self._seen))
        for number, seen in self._places.items():
            here[number] = measured[seen]
        return here

    def apply(self, action: Floats, deadline_ns: int) -> None:
        """The environment's next step has this action, if it begins before the deadline."""
        with self._guard:
            self._action, self._deadline_ns = action, deadline_ns

    def hold(self) -> None:
        """The next steps have the middle of the action space."""
        with self._guard:
            self._action = None
