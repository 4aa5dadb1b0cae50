"""A supervisor at the daemon's teleoperation port: a leader arm, a gamepad, a program.

    with nudge.Supervisor(robot="arm", token=nudge.token("nudge-data")) as supervisor:
        supervisor.takeover()
        supervisor.drive(lambda state: my_device(state))   # until it gives None
        supervisor.hand_back()

Commands are proof of life: nothing here repeats one by itself. When what makes them hangs, the
robot holds.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from nudge import wire
from nudge.dealer import Dealer
from nudge.rest import new_id
from nudge.spec import LONGEST_NAME, printable
from nudge.status import Code, NudgeError
from nudge.version import __version__
from nudge.wire import Ack, Authority, State, TeleopWelcome

DEFAULT_ENDPOINT = "tcp://127.0.0.1:5572"
PROGRAM = f"nudge-python {__version__}"
_BETWEEN_HELLOS_S = 0.25
_BETWEEN_SIGNS_S = 0.5
_NAP_S = 0.05
_SILENCE_S = 1.0
_BATCH = 1024
_MAX_ACKS = 1024  # that nobody has asked for yet
_MAX_WAITING = 64  # messages that wait for the link's thread


@dataclass(frozen=True)
class Command:
    """Rates in [-1, 1], [channels], and a leader arm's own joints in the robot's units."""

    action: ArrayLike
    joints: ArrayLike = ()


class Supervisor:
    """One peer of the teleoperation port. A thread of its own keeps the link; methods: any thread.

    Every message waits for its ack and raises `NudgeError` with the daemon's reason when it was
    refused. UNAVAILABLE: the daemon did not answer in time.
    """

    def __init__(
        self,
        robot: str,
        token: str,
        endpoint: str = DEFAULT_ENDPOINT,
        *,
        name: str = "python",
        program: str = PROGRAM,
        every: int = 0,
        patience_s: float = 5.0,
        server_key: str = "",
        key_file: str = "",
    ) -> None:
        """Waits for the welcome. `name` is shown to others; `robot` is the id of the robot.

        `every`: control ticks from one state to the next; 0: so that there are 50 a second.
        `patience_s`: for the welcome, and for each ack.
        `server_key`, `key_file`: for a daemon on another machine, its key (`nudge auth key server`)
        and the file of this program's pair (`nudge auth key make`); the key then says who it is,
        and the token may be any text.

        INVALID_ARGUMENT: an option. UNAVAILABLE: no daemon in time. PERMISSION_DENIED: no such
        token. FAILED_PRECONDITION: it drives another robot, or has too many peers.
        """
        for what, text, limit in (
            ("robot", robot, LONGEST_NAME),
            ("name", name, LONGEST_NAME),
            ("program", program, LONGEST_NAME),
            ("token", token, 256),
        ):
            if not printable(text, limit):
                raise NudgeError(
                    Code.INVALID_ARGUMENT, f"{what} must be 1 to {limit} printable bytes"
                )
        if not 0 <= every <= 10_000:
            raise NudgeError(Code.INVALID_ARGUMENT, "every must be 0 to 10,000")
        self.robot = robot
        self.patience_s = patience_s
        self._endpoint = endpoint
        self._hello = wire.encode_teleop_hello(
            wire.TeleopHello(program, os.urandom(8).hex(), name, token, robot, every)
        )
        self._dealer = Dealer(
            endpoint, wire.MAX_TELEOP_REPLY + wire.HEADER.size, server_key, key_file
        )

        self._changed = threading.Condition()
        self._over = False
        self._session = 0
        self._welcome: TeleopWelcome | None = None
        self._state: State | None = None
        self._refused: NudgeError | None = None
        self._waiting_for = ""  # the last refusal that waiting may cure
        self._heard = 0.0
        self._epoch = self._sequence = 0
        self._acks: OrderedDict[str, Ack] = OrderedDict()
        self._outbox: OrderedDict[str, bytes] = OrderedDict()  # JSON of messages, by id
        self._jog: wire.Jog | None = None
        self._thread = threading.Thread(target=self._live, name="nudge-teleop", daemon=True)
        self._thread.start()
        try:
            self._wait_for_welcome()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Supervisor:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Says good-bye; a robot that this supervisor drives holds."""
        with self._changed:
            self._over = True
        self._dealer.wake()
        self._thread.join()

    # ---- looking ---------------------------------------------------------------------------------

    @property
    def welcome(self) -> TeleopWelcome:
        """Role, name, sizes and periods, as of the newest welcome."""
        with self._changed:
            if self._welcome is None:
                raise NudgeError(Code.UNAVAILABLE, "not welcome yet")
            return self._welcome

    @property
    def connected(self) -> bool:
        """The daemon has been heard within the last second."""
        with self._changed:
            return self._session != 0 and time.monotonic() - self._heard < _SILENCE_S

    def state(self, timeout_s: float | None = None) -> State:
        """The newest state; waits for the first one. UNAVAILABLE: none in time, or it is old."""
        end = time.monotonic() + (self.patience_s if timeout_s is None else timeout_s)
        with self._changed:
            while True:
                if self._refused is not None:
                    raise self._refused
                if self._state is not None and time.monotonic() - self._heard < _SILENCE_S:
                    return self._state
                left = end - time.monotonic()
                if left <= 0:
                    raise NudgeError(
                        Code.UNAVAILABLE, f"the daemon at {self._endpoint} is not heard"
                    )
                self._changed.wait(left)

    def states(self, timeout_s: float | None = None) -> Iterator[State]:
        """The newest state again and again, each once. UNAVAILABLE: none for `timeout_s`."""
        tick = -1
        while True:
            state = self.state(timeout_s)
            if state.tick == tick:
                with self._changed:
                    self._changed.wait(_NAP_S)
                continue
            tick = state.tick
            yield state

    def wait_for(
        self, condition: Authority | Callable[[State], bool], timeout_s: float = 30.0
    ) -> State:
        """The first state that is this one, or that fulfils the condition. DEADLINE_EXCEEDED."""
        end = time.monotonic() + timeout_s
        for state in self.states():
            if state.state == condition if isinstance(condition, Authority) else condition(state):
                return state
            if time.monotonic() > end:
                raise NudgeError(
                    Code.DEADLINE_EXCEEDED,
                    f"waited {timeout_s:g} s in vain; the robot is in {state.state.name}",
                )
        raise AssertionError  # states() does not end

    # ---- driving ---------------------------------------------------------------------------------

    def takeover(self) -> int:
        """Asks for the lease, and gives its epoch. FAILED_PRECONDITION: another one drives."""
        ack = self.send("takeover")
        with self._changed:
            self._epoch, self._sequence = ack.epoch, 0
        return ack.epoch

    def jog(
        self,
        action: ArrayLike,
        *,
        dead_man: bool = True,
        joints: ArrayLike = (),
        state: State | None = None,
    ) -> None:
        """One command: rates in [-1, 1], [channels]; 20 to 50 a second while driving. No answer.

        `state`: what was seen when the command was made; the daemon judges its age by it. None: the
        newest one. `joints`: a leader arm's own, in the robot's units and order; the robot does not
        move before each is near its own. INVALID_ARGUMENT: the wrong number of values.
        """
        seen = state if state is not None else self.state()
        values = np.asarray(action, np.float32)
        size = self.welcome.action_size
        if values.shape != (size,):
            raise NudgeError(
                Code.INVALID_ARGUMENT,
                f"a jog of shape {values.shape}; '{self.robot}' takes ({size},)",
            )
        with self._changed:
            jog = wire.Jog(
                self.robot,
                self._epoch,
                self._sequence + 1,
                seen.tick,
                dead_man,
                values,
                np.asarray(joints, np.float32).ravel(),
            )
            wire.encode_jog(jog, 0)  # what cannot be sent is said here
            self._sequence += 1
            self._jog = jog
        self._dealer.wake()

    def drive(
        self,
        command: Callable[[State], ArrayLike | Command | None],
        *,
        timeout_s: float | None = None,
    ) -> bool:
        """Jogs with what `command(state)` gives for each new state, until it gives None.

        It gives rates, [channels], or, for a leader arm, a `Command`.
        Call it after `takeover()`. True: it gave None. False: the robot is not this supervisor's to
        drive any more, or the time is over. Lets go of the dead-man at the end: the robot holds.
        """
        end = None if timeout_s is None else time.monotonic() + timeout_s
        finished = False
        still = np.zeros(self.welcome.action_size, np.float32)
        with self._changed:
            epoch = self._epoch
        for state in self.states():
            if end is not None and time.monotonic() > end:
                break
            # States of before the grant carry an older epoch.
            if state.epoch >= epoch and (
                not state.mine or state.state not in (Authority.TAKEOVER, Authority.HUMAN)
            ):
                break
            values = command(state)
            if values is None:
                finished = True
                break
            if isinstance(values, Command):
                self.jog(values.action, joints=values.joints, state=state)
            else:
                self.jog(values, state=state)
        self.jog(still, dead_man=False)
        return finished

    def release(self) -> Ack:
        """Gives the lease up; the robot holds."""
        return self.send("release")

    def hand_back(self) -> Ack:
        """Lets the policy drive. Out of the boot's HOLD it is the start of work."""
        return self.send("hand_back")

    def hold(self) -> Ack:
        """The robot holds. Any role."""
        return self.send("hold")

    def end_episode(self) -> Ack:
        """The episode that runs is over, and the robot holds. Supervisors.

        FAILED_PRECONDITION: none runs, or somebody of no lower role has the lease.
        """
        return self.send("end_episode")

    def stop(self) -> Ack:
        """STOP, latched over restarts. Any role. Not a safety-rated function."""
        return self.send("stop")

    def reset_stop(self) -> Ack:
        """Ends STOP; the robot holds."""
        return self.send("reset_stop")

    def reset_fault(self) -> Ack:
        """Ends a fault whose cause is gone; the robot holds. Engineers."""
        return self.send("reset_fault")

    # ---- saying ----------------------------------------------------------------------------------

    def words(self, text: str, meant: str = "instruction") -> Ack:
        """Plain words, 1 to 1,000 bytes. `meant`: "instruction" or "comment". See the ack's echo.

        An ack may bring more in its `fields`, such as what the words were used for.
        """
        return self.send("words", text=text, meant=meant)

    def label(self, value: str, *, episode: int = 0, span: int = 0) -> Ack:
        """How it went: success, failure, discard or none. Episode 0: the newest; span 0: all."""
        return self.send("label", value=value, episode=episode, span=span)

    def undo(self, seconds: float) -> Ack:
        """The last seconds are never learned from."""
        return self.send("undo", seconds=seconds)

    def split(self, span: int, step: int) -> Ack:
        """Before that policy step the span was recovery, from it on correction."""
        return self.send("split", span=span, step=step)

    # ---- weights ---------------------------------------------------------------------------------

    def roll_back(self) -> Ack:
        """Back to the last confirmed weights."""
        return self.send("roll_back")

    def promote(self, version: int) -> Ack:
        """Confirms weights by hand. Engineers."""
        return self.send("promote", version=version)

    def withdraw_corrections(self, supervisor: str) -> Ack:
        """Nothing that this person taught is learned from any more. Engineers."""
        return self.send("withdraw_corrections", supervisor=supervisor)

    def restore_corrections(self, supervisor: str) -> Ack:
        """Takes a withdrawal back. Engineers."""
        return self.send("restore_corrections", supervisor=supervisor)

    def resume_learning(self) -> Ack:
        """After two rollbacks in a row have paused it. Engineers."""
        return self.send("resume_learning")

    def send(self, kind: str, **fields: Any) -> Ack:
        """Any message of docs/reference/supervisor-port.md with an id; gives its ack."""
        name = new_id()
        text = json.dumps({"type": kind, "id": name, **fields}).encode()
        wire.encode_feedback(text, 0)  # what cannot be sent is said here
        end = time.monotonic() + self.patience_s
        with self._changed:
            if len(self._outbox) >= _MAX_WAITING:
                raise NudgeError(Code.RESOURCE_EXHAUSTED, "too many messages wait to be sent")
            self._outbox[name] = text
            self._dealer.wake()
            while name not in self._acks:
                if self._refused is not None:
                    raise self._refused
                left = end - time.monotonic()
                if left <= 0:
                    # What nobody waits for any more must not act when the daemon is back.
                    self._outbox.pop(name, None)
                    raise NudgeError(
                        Code.UNAVAILABLE,
                        f"the daemon did not answer to {kind} within {self.patience_s:g} s",
                    )
                self._changed.wait(left)
            ack = self._acks.pop(name)
        if not ack.ok:
            raise NudgeError(ack.code, f"{kind}: {ack.message or ack.echo or ack.code.word}")
        return ack

    # ---- the link's thread -----------------------------------------------------------------------

    def _wait_for_welcome(self) -> None:
        end = time.monotonic() + self.patience_s
        with self._changed:
            while self._session == 0:
                if self._refused is not None:
                    raise self._refused
                left = end - time.monotonic()
                if left <= 0:
                    if self._waiting_for:
                        raise NudgeError(Code.FAILED_PRECONDITION, self._waiting_for)
                    raise NudgeError(
                        Code.UNAVAILABLE,
                        f"no daemon answers at {self._endpoint}; start it, or set the endpoint to "
                        "where its teleop port is",
                    )
                self._changed.wait(left)

    def _live(self) -> None:
        next_hello = next_sign = 0.0
        while True:
            with self._changed:
                over, session, refused = self._over, self._session, self._refused is not None
            now = time.monotonic()
            if over:
                if session != 0:
                    self._dealer.send(wire.encode_bye(session))
                self._dealer.close()
                return
            if session == 0 and not refused and now >= next_hello:
                sent = self._dealer.send(self._hello)
                next_hello = now + (_BETWEEN_HELLOS_S if sent else _NAP_S)
            if session != 0:
                if self._send_all(session):
                    next_sign = now + _BETWEEN_SIGNS_S
                elif now >= next_sign:
                    sent = self._dealer.send(wire.encode_alive(session))
                    next_sign = now + (_BETWEEN_SIGNS_S if sent else _NAP_S)
            self._read_all()
            self._dealer.wait(_NAP_S)

    def _send_all(self, session: int) -> bool:
        """The newest command only: older ones are worth nothing. True: something was sent."""
        with self._changed:
            jog, self._jog = self._jog, None
            sent = jog is not None and self._dealer.send(wire.encode_jog(jog, session))
            while self._outbox:
                name, text = next(iter(self._outbox.items()))
                if not self._dealer.send(wire.encode_feedback(text, session)):
                    break  # in order, as soon as the queue takes it
                del self._outbox[name]
                sent = True
        return sent

    def _read_all(self) -> None:
        for _ in range(_BATCH):
            frame = self._dealer.receive()
            if frame is None:
                return
            try:
                session, reply = wire.decode_teleop_reply(frame)
            except NudgeError:
                continue  # a daemon of ours does not send it
            with self._changed:
                self._take(session, reply)
                self._changed.notify_all()

    def _take(self, session: int, reply: wire.TeleopReply) -> None:
        if isinstance(reply, TeleopWelcome):
            if session == 0 or reply.version != wire.MAJOR:
                return
            self._session, self._welcome, self._state = session, reply, None
            self._jog = None
            self._heard = time.monotonic()
        elif isinstance(reply, wire.Refusal):
            self._take_refusal(reply)
        elif self._session != 0 and session == self._session:
            self._heard = time.monotonic()
            if isinstance(reply, State):
                self._state = reply
            else:
                self._acks[reply.id] = reply
                while len(self._acks) > _MAX_ACKS:
                    self._acks.popitem(last=False)

    def _take_refusal(self, refusal: wire.Refusal) -> None:
        self._session = 0
        text = f"the daemon refused: {refusal.text}"
        if refusal.reason in (wire.Reason.NO_SESSION, wire.Reason.CLOCK_JUMPED):
            return
        if refusal.reason in (wire.Reason.RATE, wire.Reason.BUSY):
            self._waiting_for = text  # waiting may cure it
        elif refusal.reason == wire.Reason.TOKEN:
            self._refused = NudgeError(Code.PERMISSION_DENIED, text)
        elif refusal.reason == wire.Reason.VERSION:
            self._refused = NudgeError(Code.UNIMPLEMENTED, text)
        else:
            self._refused = NudgeError(Code.FAILED_PRECONDITION, text)
