"""The client's end of the link between a robot and the daemon, and its watchdog.

docs/reference/robot-protocol.md says what a robot must do; this does it for `nudge.robot.Robot`.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from nudge import wire
from nudge.dealer import Dealer
from nudge.goals import Goals
from nudge.images import jpeg_of
from nudge.status import Code, NudgeError
from nudge.version import __version__
from nudge.wire import Floats

if TYPE_CHECKING:
    from nudge.robot import Observation, Robot

PROGRAM = f"nudge-python {__version__}"
_MS = 1_000_000
_DEFAULT_SILENCE_NS = 200 * _MS
_LONGEST_SILENCE_NS = 10_000 * _MS
_LONGEST_FRESH_NS = 500 * _MS
_BETWEEN_HELLOS_NS = 250 * _MS
_BETWEEN_REPORTS_NS = 100 * _MS
_LONGEST_NAP_NS = 20 * _MS
_BATCH = 256  # messages read in one go
_OVER = {"": 0, "terminated": 1, "truncated": 2}
_MAX_REPORTS = 16  # that wait to be sent

log = logging.getLogger("nudge.robot")


@dataclass(frozen=True)
class RobotStats:
    """Counted since `run()` began."""

    sessions: int = 0  # times that a daemon said welcome
    observations: int = 0  # handed to a connection that took them
    unsent: int = 0  # observations that found no connection, a full queue or a newer one
    unobserved: int = 0  # observe() failed, or what it gave cannot be sent
    actions: int = 0  # applied
    stale_actions: int = 0  # refused: too old, or of no observation of this connection
    bad_messages: int = 0  # refused: broke a rule, not finite, wrong size
    refused_by_robot: int = 0  # apply() failed, or the robot is stopped
    holds: int = 0  # asked for by the daemon
    own_holds: int = 0  # by the client itself: silence, a lost or new connection
    estops: int = 0  # asked for by the daemon


@dataclass
class _Asked:
    """What the daemon wants of the thread that runs the robot; the newest of each."""

    action: wire.RobotAction | None = None
    reset: wire.Reset | None = None
    reset_estop: wire.ResetEstop | None = None


@dataclass
class _Outbox:
    """What waits for the link's thread: the newest observation, and reports in order."""

    observation: wire.RobotObservation | None = None
    session: int = 0  # that the observation is for
    reports: deque[wire.RobotReport] = field(default_factory=lambda: deque(maxlen=_MAX_REPORTS))


class RobotLink:
    """One `run()`: the caller's thread runs the robot, another reads the link and is the watchdog.

    All fields below `_changed` belong to it. Robot functions are called without it.
    """

    def __init__(
        self,
        robot: Robot,
        endpoint: str,
        *,
        silence_s: float | None,
        fresh_s: float | None,
        server_key: str,
        key_file: str,
    ) -> None:
        spec = robot.spec
        self.robot, self.endpoint, self.period = robot, endpoint, spec.control_period_ns
        least = 3 * self.period
        usual = max(_DEFAULT_SILENCE_NS, least)
        self.silence = usual if silence_s is None else round(silence_s * 1e9)
        self.fresh = usual if fresh_s is None else round(fresh_s * 1e9)
        if not least <= self.silence <= _LONGEST_SILENCE_NS:
            raise NudgeError(
                Code.INVALID_ARGUMENT,
                "silence must be at least 3 control periods and at most 10 s",
            )
        if not least <= self.fresh <= _LONGEST_FRESH_NS:
            raise NudgeError(
                Code.INVALID_ARGUMENT,
                "fresh must be at least 3 control periods and at most 500 ms",
            )
        self.hello = wire.RobotHello(
            program=PROGRAM,
            instance=os.urandom(8).hex(),
            robot=spec.to_json(),
            capabilities=("reset", "estop", *(("cameras",) if spec.cameras else ())),
        )
        wire.encode_robot_hello(self.hello)  # what cannot be sent is said here
        self.cameras = {camera.name: number for number, camera in enumerate(spec.cameras)}
        self.dealer = Dealer(endpoint, wire.MAX_ROBOT_COMMAND, server_key, key_file)
        self.running = True
        self.complained = False

        self._changed = threading.Condition()
        self._stats = RobotStats()
        self._over = False
        self._session = 0  # 0: not welcome
        self._hopeless: NudgeError | None = None  # a refusal that waiting does not cure
        self._busy = ""
        self._issued: deque[tuple[int, int]] = deque(maxlen=self.fresh // self.period + 8)
        self._sent_frames = [-1] * len(spec.cameras)  # capture time of the newest one, ns
        self._newest_sequence = 0
        self._applied = 0
        self._goals = Goals(spec)  # of the thread that runs the robot
        self._goals_of = -1  # `_stops` when they were made: a hold since then ends them
        self._measured: Floats = np.zeros(len(spec.proprioception), np.float32)
        self._asked = _Asked()
        self._outbox = _Outbox()
        self._estopped = False
        self._holding = True
        self._stops = 0  # holds and stops so far: an apply() that one overtook is undone
        self._resetting = False
        self._heard = time.monotonic_ns()  # newest accepted action or hold, or own hold since
        self._tick = 0
        self._next_hello = 0

    @property
    def stats(self) -> RobotStats:
        """Any thread."""
        with self._changed:
            return self._stats

    def _count(self, name: str) -> None:
        self._stats = replace(self._stats, **{name: getattr(self._stats, name) + 1})

    # ---- standing still --------------------------------------------------------------------------

    def _stand(self, stop: bool = False) -> None:
        """Calls hold() or estop(); what fails is said, for nobody can do more here."""
        try:
            if stop:
                self.robot.estop()
            else:
                self.robot.hold()
        except Exception:
            log.exception("the robot failed to %s", "stop" if stop else "hold")

    def _own_hold(self) -> None:
        with self._changed:
            self._count("own_holds")
            self._holding = True
            self._stops += 1
            self._asked.action = None
        self._stand()

    def press_stop(self) -> None:
        """`Robot.estop()`, latched until the daemon resets it. Any thread."""
        with self._changed:
            self._estopped = self._holding = True
            self._stops += 1
            self._asked.action = None
        self._stand(stop=True)

    # ---- the link's thread -----------------------------------------------------------------------

    def _live(self) -> None:
        try:
            while True:
                with self._changed:
                    if self._over:
                        break
                    nap = self._nap()
                self._say_hello_when_due()
                self._read_all()
                self._send_all()
                self._watch_silence()
                self.dealer.wait(nap / 1e9)
        except Exception:
            log.exception("the link to the daemon failed; the robot holds")
            with self._changed:
                self._hopeless = NudgeError(Code.INTERNAL, "the link's thread failed")
                self._changed.notify_all()
            self._own_hold()

    def _nap(self) -> int:
        """ns; wakes in time for the watchdog."""
        due = self._heard + self._silence_left() - time.monotonic_ns()
        return max(_MS, min(_LONGEST_NAP_NS, due))

    def _silence_left(self) -> int:
        # Early enough that the robot stands when the time is over.
        return self.silence - max(self.period, self.silence // 10)

    def _watch_silence(self) -> None:
        now = time.monotonic_ns()
        with self._changed:
            if self._resetting or now - self._heard < self._silence_left():
                return
            self._heard = now
        self._own_hold()

    def _say_hello_when_due(self) -> None:
        now = time.monotonic_ns()
        with self._changed:
            if self._session != 0 or self._hopeless is not None or now < self._next_hello:
                return
            hello = replace(self.hello, estopped=self._estopped)
        sent = self.dealer.send(wire.encode_robot_hello(hello))
        self._next_hello = now + (_BETWEEN_HELLOS_NS if sent else _LONGEST_NAP_NS)

    def _read_all(self) -> None:
        """Stopping counts at once; of actions only the newest does."""
        for _ in range(_BATCH):
            frame = self.dealer.receive()
            if frame is None:
                return
            try:
                session, command = wire.decode_robot_command(frame)
            except NudgeError:
                with self._changed:
                    self._count("bad_messages")
                    moving = self._session != 0 and not self._holding
                    self._asked.action = None
                # Whoever sends an action that is no action must not leave the last one running.
                if moving:
                    self._own_hold()
                continue
            self._take(session, command)

    def _take(self, session: int, command: wire.RobotCommand) -> None:
        if isinstance(command, wire.Welcome):
            if command.version != wire.MAJOR or session == 0:
                with self._changed:
                    self._count("bad_messages")
                return
            self._begin_session(session)
            return
        if isinstance(command, wire.Refusal):
            self._take_refusal(command)
            return
        # A stop counts whoever sent it, and however late it comes.
        if isinstance(command, wire.Estop):
            with self._changed:
                self._count("estops")
                self._asked.reset_estop = None
                if session == self._session:
                    self._heard = time.monotonic_ns()
            self.press_stop()
            return
        with self._changed:
            if self._session == 0 or session != self._session:
                self._count("stale_actions")
                return
            if isinstance(command, wire.RobotAction):
                if self._asked.action is not None:
                    self._count("stale_actions")
                self._asked.action = command
            elif isinstance(command, wire.Hold):
                self._count("holds")
                self._asked.action = None
                self._holding = True
                self._stops += 1
                self._heard = time.monotonic_ns()
            elif isinstance(command, wire.ResetEstop):
                self._asked.reset_estop = command
            else:
                self._asked.action = None
                self._asked.reset = command
            self._changed.notify_all()
        if isinstance(command, wire.Hold):
            self._stand()

    def _take_refusal(self, refusal: wire.Refusal) -> None:
        if refusal.reason == wire.Reason.BUSY:
            with self._changed:
                self._busy = refusal.text
            return
        with self._changed:
            if refusal.reason == wire.Reason.VERSION:
                self._hopeless = NudgeError(
                    Code.UNIMPLEMENTED, f"the daemon refused: {refusal.text}"
                )
            elif refusal.reason not in (
                wire.Reason.NO_SESSION,
                wire.Reason.CLOCK_JUMPED,
                wire.Reason.RATE,
            ):
                self._hopeless = NudgeError(
                    Code.FAILED_PRECONDITION, f"the daemon refused: {refusal.text}"
                )
            self._changed.notify_all()
        self._end_session()

    def _begin_session(self, session: int) -> None:
        with self._changed:
            self._session = session
            self._busy = ""
            self._issued.clear()
            self._newest_sequence = 0
            self._asked = _Asked()
            self._outbox.observation = None
            self._sent_frames = [-1] * len(self._sent_frames)
            self._count("sessions")
            self._changed.notify_all()
        self._own_hold()
        with self._changed:
            self._heard = time.monotonic_ns()

    def _end_session(self) -> None:
        with self._changed:
            if self._session == 0:
                return
            self._session = 0
            self._next_hello = 0
        self._own_hold()

    def _send_all(self) -> None:
        with self._changed:
            observation, self._outbox.observation = self._outbox.observation, None
            session = self._outbox.session
            reports = list(self._outbox.reports)
            self._outbox.reports.clear()
            current = self._session
        for report in reports:
            if current != 0:
                self.dealer.send(wire.encode_robot_report(report, current))
        if observation is None:
            return
        sent = session == current and self.dealer.send(
            wire.encode_robot_observation(observation, session)
        )
        with self._changed:
            self._count("observations" if sent else "unsent")
            if sent and self._session == session:
                for frame in observation.frames:
                    self._sent_frames[frame.camera] = frame.captured_ns

    # ---- the caller's thread ---------------------------------------------------------------------

    def serve(self, stop: threading.Event, patience_s: float | None) -> None:
        """Until `stop` is set, on the caller's thread; once. Errors as `Robot.run()`."""
        thread = threading.Thread(target=self._live, name="nudge-link", daemon=True)
        self._own_hold()
        thread.start()
        try:
            self._wait_for_welcome(stop, patience_s)
            self._work(stop)
        finally:
            with self._changed:
                self._over = True
            self.dealer.wake()
            thread.join()
            self.dealer.close()
            self._own_hold()
            self.running = False

    def _wait_for_welcome(self, stop: threading.Event, patience_s: float | None) -> None:
        end = None if patience_s is None else time.monotonic() + patience_s
        with self._changed:
            while self._session == 0 and not stop.is_set():
                if self._hopeless is not None:
                    raise self._hopeless
                if end is not None and time.monotonic() >= end:
                    if self._busy:
                        raise NudgeError(
                            Code.FAILED_PRECONDITION, f"the daemon refused: {self._busy}"
                        )
                    raise NudgeError(
                        Code.UNAVAILABLE,
                        f"no daemon answers at {self.endpoint}; start it, or set the endpoint to "
                        "where its robot port is",
                    )
                self._changed.wait(0.02)

    def _work(self, stop: threading.Event) -> None:
        next_tick = time.monotonic_ns()
        next_report = 0
        while not stop.is_set():
            with self._changed:
                if self._hopeless is not None:
                    raise self._hopeless
            self._do_reset_estop()
            self._apply_newest()
            if self._do_reset():
                next_tick = time.monotonic_ns()
            now = time.monotonic_ns()
            if now >= next_tick:
                next_report = self._observe(next_report)
                next_tick += self.period
                now = time.monotonic_ns()
                if next_tick <= now:
                    next_tick = now + self.period  # missed ticks are not made up for
            with self._changed:
                if self._asked.action is None and self._asked.reset is None:
                    left = min(next_tick - time.monotonic_ns(), _LONGEST_NAP_NS)
                    if left > 0:
                        self._changed.wait(left / 1e9)

    def _apply_newest(self) -> None:
        with self._changed:
            action, self._asked.action = self._asked.action, None
            if action is None:
                return
            now = time.monotonic_ns()
            if not self._accepts(action, now):
                return
            wrong_size = len(action.action) != len(self.robot.spec.action)
            if wrong_size:
                self._count("bad_messages")
            else:
                self._newest_sequence = action.sequence
                self._heard = now
                if self._estopped:
                    self._count("refused_by_robot")
                    return
            stops = self._stops
        if wrong_size:
            self._own_hold()
            return
        failed = False
        if self._goals_of != stops:
            self._goals.forget()
            self._goals_of = stops
        try:
            command = self._goals.command(action.action, self._measured)
            self.robot.apply(command, now + action.deadline_ns)
        except Exception as error:
            failed = True
            self._complain("apply", error)
        with self._changed:
            # A hold that came while apply() ran must not be undone by it.
            overtaken, estopped = self._stops != stops, self._estopped
            if failed:
                self._count("refused_by_robot")
            elif not overtaken:
                self._holding = False
                self._applied = action.sequence
                self._count("actions")
        if overtaken or failed:
            if failed and not overtaken:
                self._own_hold()
            else:
                self._stand(stop=estopped)

    def _accepts(self, action: wire.RobotAction, now: int) -> bool:
        """An action that waited in a queue is refused, however recently it arrived."""
        read = next((at for tick, at in self._issued if tick == action.tick), None)
        if read is None or now - read >= self.fresh or action.sequence <= self._newest_sequence:
            self._count("stale_actions")
            return False
        return True

    def _do_reset_estop(self) -> None:
        with self._changed:
            asked, self._asked.reset_estop = self._asked.reset_estop, None
            stops = self._stops
        if asked is None:
            return
        code, text = Code.OK, ""
        try:
            self.robot.reset_estop()
        except Exception as error:
            code, text = self._complain("reset_estop", error)
        with self._changed:
            # A stop that came meanwhile is newer than the wish to end one.
            overtaken = self._stops != stops
            if code == Code.OK and not overtaken:
                self._estopped = False
        if overtaken:
            self._stand(stop=True)
            if code == Code.OK:
                code, text = Code.ABORTED, "the robot was stopped again"
        self._report(wire.RobotReport(asked.request, wire.ReportOf.RESET_ESTOP, code, text))

    def _do_reset(self) -> bool:
        """May take as long as a robot needs; the link's thread hears who stops it meanwhile."""
        with self._changed:
            asked, self._asked.reset = self._asked.reset, None
            if asked is None:
                return False
            self._resetting = True
            stops = self._stops
            if self._outbox.observation is not None:
                # It would arrive behind the report, and pass for what is seen after the reset.
                self._outbox.observation = None
                self._count("unsent")
        code, text = Code.OK, ""
        self._goals.forget()
        try:
            self.robot.reset(asked.seed)
        except Exception as error:
            code, text = self._complain("reset", error)
        with self._changed:
            overtaken, estopped = self._stops != stops, self._estopped
            self._resetting = False
            self._asked.action = None
            self._heard = time.monotonic_ns()
        if overtaken:
            self._stand(stop=estopped)
            if code == Code.OK:
                code, text = Code.ABORTED, "the robot was held while it reset"
        self._report(wire.RobotReport(asked.request, wire.ReportOf.RESET, code, text))
        return True

    def _observe(self, next_report: int) -> int:
        called = time.monotonic_ns()
        try:
            message, session = self._message_of(self.robot.observe(), called)
        except Exception as error:
            code, text = self._complain("observe", error)
            with self._changed:
                self._count("unobserved")
            if called < next_report:
                return next_report
            self._report(wire.RobotReport(0, wire.ReportOf.OBSERVING, code, text))
            return called + _BETWEEN_REPORTS_NS
        if message is not None:
            with self._changed:
                if self._outbox.observation is not None:
                    self._count("unsent")
                self._outbox.observation, self._outbox.session = message, session
            self.dealer.wake()
        return next_report

    def _message_of(
        self, seen: Observation, called: int
    ) -> tuple[wire.RobotObservation | None, int]:
        spec = self.robot.spec
        over = _OVER.get(seen.over)
        if over is None:
            raise NudgeError(
                Code.INVALID_ARGUMENT,
                f"observe() gave over='{seen.over}'; it is terminated, truncated or empty",
            )
        values = {}
        for name in ("proprioception", "object_state"):
            array = np.asarray(getattr(seen, name), np.float32)
            expected = len(getattr(spec, name))
            if array.shape != (expected,):
                raise NudgeError(
                    Code.INVALID_ARGUMENT,
                    f"observe() gave {name} of shape {array.shape}; the spec says ({expected},)",
                )
            values[name] = array
        self._measured = values["proprioception"]
        time_ns = called if seen.time_ns is None else seen.time_ns
        with self._changed:
            session, sent_frames = self._session, list(self._sent_frames)
        if session == 0:
            return None, 0
        frames = []
        for image in seen.images:
            number = self.cameras.get(image.camera)
            if number is None:
                raise NudgeError(
                    Code.INVALID_ARGUMENT,
                    f"observe() gave an image of camera '{image.camera}'; the spec has "
                    f"{sorted(self.cameras) or 'none'}",
                )
            captured = time_ns if image.captured_ns is None else image.captured_ns
            if captured <= sent_frames[number]:
                continue
            camera = spec.cameras[number]
            jpeg = jpeg_of(image, camera.width, camera.height, self.robot.encoder)
            frames.append(wire.CameraFrame(number, camera.width, camera.height, captured, jpeg))
        now = time.monotonic_ns()
        if time_ns > now or any(frame.captured_ns > now for frame in frames):
            raise NudgeError(
                Code.INVALID_ARGUMENT,
                "observe() gave a time ahead of time.monotonic_ns(), the robot's clock",
            )
        with self._changed:
            if self._session != session:
                return None, 0
            self._tick += 1
            self._issued.append((self._tick, time_ns))
            message = wire.RobotObservation(
                tick=self._tick,
                time_ns=time_ns,
                sent_ns=now,
                applied=self._applied,
                proprioception=values["proprioception"],
                object_state=values["object_state"],
                success=seen.success,
                estopped=self._estopped or seen.stopped,
                holding=self._holding,
                frames=frames,
                over=over,
            )
        return message, session

    def _report(self, report: wire.RobotReport) -> None:
        with self._changed:
            self._outbox.reports.append(report)
        self.dealer.wake()

    def _complain(self, where: str, error: Exception) -> tuple[Code, str]:
        """What the daemon is told of an exception; its traceback is logged the first time."""
        if not self.complained and not isinstance(error, NudgeError):
            self.complained = True
            log.error("%s() failed; more of this is only told to the daemon", where, exc_info=error)
        if isinstance(error, NudgeError):
            return (error.code if error.code != Code.OK else Code.INTERNAL), str(error)
        code = Code.UNAVAILABLE if isinstance(error, OSError) else Code.INTERNAL
        return code, f"{where}(): {error or type(error).__name__}"
