"""A robot of yours, driven by the daemon.

    robot = nudge.Robot(spec, observe=observe, apply=apply, hold=hold)
    robot.run()

or a subclass of `Robot` with these methods. `run()` observes at the control period, sends what it
saw, and applies what comes back. It trusts nobody for time: an action names the observation that it
answers, and is refused when that observation is older than `fresh` on the robot's own clock,
however recently the action arrived. A thread of its own reads the link and is the watchdog: when
the daemon is silent, stopped or gone, it holds the robot; after a reconnection the robot holds
until an action answers an observation of the new connection.

This is software, not a safety-rated function. It cannot act while this process is stopped, while
the interpreter is held by other code, or while one of the robot's functions does not return: the
robot's own command timeout is for that.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from numpy.typing import ArrayLike

from nudge.images import Encoder, Image
from nudge.robot_link import RobotLink, RobotStats
from nudge.spec import RobotSpec
from nudge.status import Code, NudgeError
from nudge.wire import Floats

DEFAULT_ENDPOINT = "tcp://127.0.0.1:5571"


@dataclass(frozen=True)
class Observation:
    """What the robot perceives at one control tick.

    `proprioception` and `object_state`: one number for each channel of the spec, in its unit.
    `images`: the newest frame of each camera that has one. `success`: the robot's own idea of "task
    done"; it ends the episode. So does `over`, until the next `reset()`: "terminated" when nothing
    more can come of it, "truncated" when its time is up. `stopped`: a stop of the robot's own holds
    it, and it refuses to move until `reset_estop()`; people then see STOP. `time_ns`: when the
    state was read, `time.monotonic_ns()`; None: when `observe()` was called, which is safe: never
    later than the truth.
    """

    proprioception: ArrayLike = ()
    object_state: ArrayLike = ()
    images: Sequence[Image] = ()
    success: bool = False
    time_ns: int | None = None
    over: str = ""
    stopped: bool = False


class Robot:
    """Derive from it, or give it functions. Each promises what docs/how-to/plug-in-a-robot.md says.

    `reset`, `observe` and `apply` are called from the thread that called `run()`. `hold` and
    `estop` also come from the link's thread, at any time, while another one runs: they must return
    within a control period. What raises is told to the daemon.
    """

    def __init__(
        self,
        spec: RobotSpec,
        *,
        observe: Callable[[], Observation] | None = None,
        apply: Callable[[Floats, int], None] | None = None,
        hold: Callable[[], None] | None = None,
        reset: Callable[[int], None] | None = None,
        estop: Callable[[], None] | None = None,
        reset_estop: Callable[[], None] | None = None,
        encoder: Encoder | None = None,
    ) -> None:
        """`encoder`: of images that are given as pixels; by default Pillow's."""
        self.spec = spec
        self.encoder = encoder
        self._observe, self._apply, self._hold = observe, apply, hold
        self._reset, self._estop, self._reset_estop = reset, estop, reset_estop
        for name, given in (("observe", observe), ("apply", apply), ("hold", hold)):
            if given is None and getattr(type(self), name) is getattr(Robot, name):
                raise NudgeError(
                    Code.INVALID_ARGUMENT,
                    f"a robot needs {name}(): give the function, or define it in a subclass",
                )
        self._link: RobotLink | None = None

    # ---- what the daemon drives ------------------------------------------------------------------

    def reset(self, seed: int) -> None:
        """Prepares a new episode; may block. A real robot ignores the seed. Does nothing by itself.

        When `hold()` or `estop()` comes meanwhile it must stop moving and raise.
        """
        if self._reset is not None:
            self._reset(seed)

    def observe(self) -> Observation:
        """The newest state. Raises when the robot does not answer; does not wait for it."""
        assert self._observe is not None
        return self._observe()

    def apply(self, action: Floats, deadline_ns: int) -> None:
        """Moves at `action` ([channels], rates in [-1, 1], finite) for one control period.

        Of a channel that is `absolute` it is the position to go to, in that channel's unit.

        The robot must stop by itself when no call arrives before `deadline_ns` has passed on
        `time.monotonic_ns()`: software above cannot help once this process is stopped.
        """
        assert self._apply is not None
        self._apply(action, deadline_ns)

    def hold(self) -> None:
        """Stand still, keep holding what is held; until the next `apply()`. Any thread."""
        assert self._hold is not None
        self._hold()

    def estop(self) -> None:
        """Stand still; nothing is applied until `reset_estop()`. Any thread. By itself: `hold()`.

        Not a safety-rated function.
        """
        if self._estop is not None:
            self._estop()
        else:
            self.hold()

    def reset_estop(self) -> None:
        """Ends that, or raises why it cannot. Does nothing by itself."""
        if self._reset_estop is not None:
            self._reset_estop()

    # ---- the client ------------------------------------------------------------------------------

    def run(
        self,
        endpoint: str = DEFAULT_ENDPOINT,
        *,
        stop: threading.Event | None = None,
        patience_s: float | None = 5.0,
        silence_s: float | None = None,
        fresh_s: float | None = None,
        server_key: str = "",
        key_file: str = "",
    ) -> None:
        """Serves until `stop` is set; the robot is held when it returns, or raises.

        Waits `patience_s` for a first daemon (None: for ever) and then for ever for it to come
        back, holding. Without an action or a hold for `silence_s` the robot is held, and an action
        that answers an observation older than `fresh_s` is refused; both are 200 ms or 3 control
        periods by default, whichever is longer.

        `server_key`, `key_file`: for a daemon on another machine, its key (`nudge auth key server`)
        and the file of this machine's pair (`nudge auth key make`).

        UNAVAILABLE: no daemon in time. FAILED_PRECONDITION: it drives another robot, or this one
        with another spec, and says where they differ. UNIMPLEMENTED: other versions of the
        protocol. INVALID_ARGUMENT: an option.
        """
        if self._link is not None and self._link.running:
            raise NudgeError(Code.FAILED_PRECONDITION, "the robot runs already")
        self._link = RobotLink(
            self,
            endpoint,
            silence_s=silence_s,
            fresh_s=fresh_s,
            server_key=server_key,
            key_file=key_file,
        )
        self._link.serve(stop or threading.Event(), patience_s)

    def press_stop(self) -> None:
        """STOP from this side, any thread: `estop()`, and no action until the daemon resets it."""
        if self._link is not None and self._link.running:
            self._link.press_stop()
        else:
            self.estop()

    @property
    def stats(self) -> RobotStats:
        """Any thread."""
        return self._link.stats if self._link is not None else RobotStats()
