"""The frames of the robot's and the teleoperation protocol: bytes in, values out, no socket.

A frame is a header of 16 bytes ("NUDG", version, type, length, session) and a body, all
little-endian. What arrives is bounded before it is read; a frame that breaks a rule raises
`NudgeError` with INVALID_ARGUMENT, or UNIMPLEMENTED for another major version.
"""

from __future__ import annotations

import enum
import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nudge.spec import MAX_ACTION_CHANNELS, MAX_CAMERAS, MAX_CHANNELS
from nudge.status import Code, NudgeError

Floats: TypeAlias = NDArray[np.float32]

MAJOR = 1
HEADER = struct.Struct("<4sBBHII")
MAGIC = b"NUDG"
MAX_ROBOT_MESSAGE = 16 << 20  # bytes, from the robot, its camera frames included
MAX_ROBOT_COMMAND = 4096  # bytes, from the daemon
MAX_TELEOP_TEXT = 64 << 10  # bytes of a feedback message
MAX_TELEOP_REPLY = 16 << 10  # bytes
MAX_HELLO = 16 << 10  # bytes of its JSON
LONGEST_NAME, LONGEST_REFUSAL, LONGEST_REPORT = 64, 512, 256  # bytes
LONGEST_DEADLINE_NS = 1_000_000_000
LONGEST_PERIOD_NS = 60_000_000_000
OLDEST_NS = 60_000_000_000


class Type(enum.IntEnum):
    """What a frame is. Numbers of the wire, which never change."""

    ROBOT_HELLO = 1
    ROBOT_OBSERVATION = 2
    ROBOT_REPORT = 3
    ROBOT_WELCOME = 16
    ROBOT_REFUSAL = 17
    ROBOT_ACTION = 18
    ROBOT_HOLD = 19
    ROBOT_ESTOP = 20
    ROBOT_RESET_ESTOP = 21
    ROBOT_RESET = 22
    TELEOP_HELLO = 33
    TELEOP_JOG = 34
    TELEOP_FEEDBACK = 35
    TELEOP_ALIVE = 36
    TELEOP_BYE = 37
    TELEOP_WELCOME = 48
    TELEOP_REFUSAL = 49
    TELEOP_STATE = 50
    TELEOP_ACK = 51


class Reason(enum.IntEnum):
    """Why the daemon turns a peer away."""

    VERSION = 1
    MALFORMED = 2
    BUSY = 3
    SPEC_DIFFERS = 4
    NO_SESSION = 5
    CLOCK_JUMPED = 6
    TOKEN = 7
    OTHER_ROBOT = 8
    RATE = 9


class ReportOf(enum.IntEnum):
    """What a robot's report is about."""

    RESET = 1
    RESET_ESTOP = 2
    OBSERVING = 3


class Authority(enum.IntEnum):
    """Who may move the robot, as docs/reference/authority.md explains."""

    HOLD = 0
    TAKEOVER = 1
    HUMAN = 2
    HANDBACK = 3
    AUTO = 4
    FAULT_HOLD = 5
    ESTOP = 6


class Source(enum.IntEnum):
    """Who moves the robot."""

    HOLD = 0
    POLICY = 1
    HUMAN = 2
    NUDGE = 3
    SCRIPT = 4


class Role(enum.IntEnum):
    """What a token allows."""

    SCRIPT = 0
    VIEWER = 1
    SUPERVISOR = 2
    ENGINEER = 3


# ---- messages ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RobotHello:
    """A robot says what it is. `robot` is `RobotSpec.to_json()`."""

    program: str
    instance: str  # random, the same for the life of the process
    robot: Mapping[str, Any]
    capabilities: Sequence[str] = ()
    estopped: bool = False


@dataclass(frozen=True)
class CameraFrame:
    """A new frame of a camera, as JPEG. `captured_ns`: robot's steady clock."""

    camera: int  # index in the spec
    width: int
    height: int
    captured_ns: int
    jpeg: bytes


@dataclass(frozen=True)
class RobotObservation:
    """What the robot saw. Times are ns of the robot's own steady clock."""

    tick: int  # from 1, increasing for the life of the process
    time_ns: int  # when the state was read
    sent_ns: int  # when this message was made; not before `time_ns`
    applied: int  # sequence of the newest action that moved the robot; 0: none
    proprioception: Floats  # [channels], may hold what is not finite
    object_state: Floats  # [channels]
    success: bool = False
    estopped: bool = False
    holding: bool = False
    frames: Sequence[CameraFrame] = ()
    over: int = 0  # the robot ends its episode: 1 terminated, 2 truncated


@dataclass(frozen=True)
class RobotReport:
    """What became of a request; `request` 0: unasked."""

    request: int
    of: ReportOf
    code: Code = Code.OK
    message: str = ""


@dataclass(frozen=True)
class Welcome:
    """The session is in the header."""

    version: int
    program: str


@dataclass(frozen=True)
class Refusal:
    """Why the daemon does not want a peer."""

    reason: int
    text: str


@dataclass(frozen=True)
class RobotAction:
    """Move at `action` ([channels], rates in [-1, 1]) for one control period."""

    sequence: int
    tick: int  # of the observation that it answers
    deadline_ns: int  # after its receipt: stop when nothing newer has come by then
    action: Floats


@dataclass(frozen=True)
class Hold:
    """Stand still until the next action."""


@dataclass(frozen=True)
class Estop:
    """Stand still, and refuse every action until reset_estop."""


@dataclass(frozen=True)
class ResetEstop:
    """End an estop; answered by a report."""

    request: int


@dataclass(frozen=True)
class Reset:
    """Prepare a new episode; answered by a report."""

    request: int
    seed: int


RobotCommand: TypeAlias = Welcome | Refusal | RobotAction | Hold | Estop | ResetEstop | Reset


@dataclass(frozen=True)
class TeleopHello:
    """Who wants to drive, and which robot."""

    program: str
    instance: str
    name: str
    token: str
    robot: str
    every: int = 0  # control ticks from one state to the next; 0: 50 a second


@dataclass(frozen=True)
class Jog:
    """One command: rates in [-1, 1], [channels]; `joints` of a leader arm, or none."""

    robot: str
    epoch: int  # of the lease
    sequence: int  # increasing within the epoch
    tick: int  # newest one seen
    dead_man: bool
    action: Floats
    joints: Floats = field(default_factory=lambda: np.empty(0, np.float32))


@dataclass(frozen=True)
class TeleopWelcome:
    """What the daemon drives; the session is in the header."""

    version: int
    role: Role
    action_size: int
    control_period_ns: int
    policy_period_ns: int
    fresh_ns: int  # longest age of a jog
    name: str  # as shown to others
    program: str
    robot: str


@dataclass(frozen=True)
class State:
    """One control tick of the daemon. Times are ns of the daemon's steady clock."""

    tick: int  # to be echoed by jogs
    now_ns: int  # beginning of the tick
    observed_ns: int  # when the robot's state was read
    state: Authority
    source: Source
    mine: bool  # the lease is yours
    success: bool  # the robot's own idea
    recording: bool  # feedback can be stored
    last_success: bool  # the robot called the newest episode that has ended a success
    holder_role: Role
    policy_step: int  # of the episode
    autonomous: int  # steps of it that the policy drove
    step_limit: int
    epoch: int  # of the newest lease
    episode: int  # 0: none runs
    weights: int  # version that plays; 0: none
    holder: str  # empty: nobody
    proprioception: Floats  # [channels]
    object_state: Floats  # [channels]


@dataclass(frozen=True)
class Ack:
    """The daemon's answer to one message, given when it is on disk."""

    id: str
    ok: bool
    code: Code
    message: str  # for people
    echo: str  # what was understood
    epoch: int
    holder: str
    fields: Mapping[str, Any]  # all of it, also what this version does not know


TeleopReply: TypeAlias = TeleopWelcome | Refusal | State | Ack


# ---- writing -------------------------------------------------------------------------------------


def _wrong(message: str) -> NudgeError:
    return NudgeError(Code.INVALID_ARGUMENT, message)


def _frame(kind: Type, session: int, body: bytes, minor: int = 0) -> bytes:
    return HEADER.pack(MAGIC, MAJOR, minor, kind, len(body), session) + body


def _text(text: str, limit: int) -> bytes:
    """At most `limit` bytes, cut between characters."""
    data = text.encode()[:limit].decode(errors="ignore").encode()
    return struct.pack("<H", len(data)) + data


def _floats(values: Floats) -> bytes:
    return np.ascontiguousarray(values, "<f4").tobytes()


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _hello(kind: Type, fields: Mapping[str, Any], what: str) -> bytes:
    text = _json({"protocol": {"min": MAJOR, "max": MAJOR}, **fields})
    if len(text) > MAX_HELLO:
        raise _wrong(f"the hello of {what} takes {len(text)} bytes, more than {MAX_HELLO}")
    return _frame(kind, 0, text)


def encode_robot_hello(message: RobotHello) -> bytes:
    """INVALID_ARGUMENT: it is longer than the daemon reads."""
    return _hello(
        Type.ROBOT_HELLO,
        {
            "program": message.program,
            "instance": message.instance,
            "capabilities": list(message.capabilities),
            "estopped": message.estopped,
            "robot": dict(message.robot),
        },
        "the robot",
    )


_OBSERVATION = struct.Struct("<QqqQIHHHH")
_CAMERA_FRAME = struct.Struct("<HHHHqI")


def encode_robot_observation(message: RobotObservation, session: int) -> bytes:
    """INVALID_ARGUMENT: too many channels or frames, or more than 16 MiB."""
    counts = (len(message.proprioception), len(message.object_state), len(message.frames))
    if max(counts[:2]) > MAX_CHANNELS or counts[2] > MAX_CAMERAS:
        raise _wrong("an observation has too many channels or frames")
    flags = int(message.success) | int(message.estopped) << 1 | int(message.holding) << 2
    parts = [
        _OBSERVATION.pack(
            message.tick, message.time_ns, message.sent_ns, message.applied, flags, *counts, 0
        ),
        _floats(message.proprioception),
        _floats(message.object_state),
    ]
    for frame in message.frames:
        parts.append(
            _CAMERA_FRAME.pack(
                frame.camera, frame.width, frame.height, 0, frame.captured_ns, len(frame.jpeg)
            )
        )
        parts.append(frame.jpeg)
    if message.over:  # a field of minor version 1: a daemon that does not know it reads past it
        parts.append(struct.pack("<H", message.over))
    body = b"".join(parts)
    if len(body) > MAX_ROBOT_MESSAGE - HEADER.size:
        raise _wrong(f"an observation takes {len(body)} bytes, more than 16 MiB; compress more")
    return _frame(Type.ROBOT_OBSERVATION, session, body, minor=1 if message.over else 0)


def encode_robot_report(message: RobotReport, session: int) -> bytes:
    """The message is cut to 256 bytes."""
    body = struct.pack("<IHH", message.request, message.of, message.code)
    return _frame(Type.ROBOT_REPORT, session, body + _text(message.message, LONGEST_REPORT))


def encode_teleop_hello(message: TeleopHello) -> bytes:
    """INVALID_ARGUMENT: it is longer than the daemon reads."""
    fields = {
        "program": message.program,
        "instance": message.instance,
        "name": message.name,
        "token": message.token,
        "robot": message.robot,
        "every": message.every,
    }
    return _hello(Type.TELEOP_HELLO, fields, "the supervisor")


def encode_jog(message: Jog, session: int) -> bytes:
    """INVALID_ARGUMENT: it has no values, or too many."""
    if not 1 <= len(message.action) <= MAX_ACTION_CHANNELS:
        raise _wrong(f"a jog has {len(message.action)} values")
    if len(message.joints) > MAX_ACTION_CHANNELS:
        raise _wrong(f"a leader arm has {len(message.joints)} joints")
    body = _text(message.robot, LONGEST_NAME) + struct.pack(
        "<QQQBBH",
        message.epoch,
        message.sequence,
        message.tick,
        int(message.dead_man),
        0,
        len(message.action),
    )
    body += _floats(message.action)
    minor = 0
    if len(message.joints) > 0:
        minor = 1
        body += struct.pack("<HH", len(message.joints), 0) + _floats(message.joints)
    return _frame(Type.TELEOP_JOG, session, body, minor)


def encode_feedback(text: bytes, session: int) -> bytes:
    """`text`: the JSON of one message of the supervisor's port."""
    if len(text) > MAX_TELEOP_TEXT:
        raise _wrong("a message may have at most 64 KiB")
    return _frame(Type.TELEOP_FEEDBACK, session, text)


def encode_alive(session: int) -> bytes:
    """A sign of life of a peer that has nothing else to say."""
    return _frame(Type.TELEOP_ALIVE, session, b"")


def encode_bye(session: int) -> bytes:
    """The session ends."""
    return _frame(Type.TELEOP_BYE, session, b"")


# ---- reading -------------------------------------------------------------------------------------


class _Reader:
    """Reads one frame; nothing beyond it is ever read or allocated."""

    def __init__(self, frame: bytes, limit: int) -> None:
        if len(frame) > limit:
            raise _wrong(f"a message of {len(frame)} bytes is above {limit}")
        if len(frame) < HEADER.size:
            raise _wrong("a message is shorter than its header")
        magic, self.major, self.minor, self.type, length, self.session = HEADER.unpack_from(frame)
        if magic != MAGIC:
            raise _wrong("a message is none of ours")
        if length != len(frame) - HEADER.size:
            raise _wrong("a message does not have the length that its header says")
        if self.major != MAJOR:
            raise NudgeError(Code.UNIMPLEMENTED, f"version {self.major} of the protocol")
        self.body = frame[HEADER.size :]
        self.at = 0

    def take(self, size: int) -> bytes:
        if size > len(self.body) - self.at:
            raise _wrong("a message is cut off")
        self.at += size
        return self.body[self.at - size : self.at]

    def unpack(self, layout: str) -> tuple[Any, ...]:
        return struct.unpack(layout, self.take(struct.calcsize(layout)))

    def floats(self, count: int) -> Floats:
        return np.frombuffer(self.take(4 * count), "<f4").astype(np.float32)

    def text(self, limit: int) -> str:
        (size,) = self.unpack("<H")
        if size > limit:
            raise _wrong("a text is too long")
        return self.take(size).decode(errors="replace")

    def require(self, holds: bool, what: str) -> None:
        if not holds:
            raise _wrong(what)

    def finish(self) -> None:
        # A later minor version may have appended fields.
        if self.minor <= 1 and self.at != len(self.body):
            raise _wrong("a message is longer than its fields")


def _refusal(reader: _Reader) -> Refusal:
    (reason,) = reader.unpack("<H")
    return Refusal(reason, reader.text(LONGEST_REFUSAL))


def _action(reader: _Reader) -> RobotAction:
    sequence, tick, deadline, count, reserved = reader.unpack("<QQQHH")
    reader.require(reserved == 0, "a reserved field is not 0")
    reader.require(sequence > 0, "an action's sequence is 0")
    reader.require(0 < deadline <= LONGEST_DEADLINE_NS, "an action's deadline is out of range")
    reader.require(0 < count <= MAX_ACTION_CHANNELS, "an action's size is out of range")
    values = reader.floats(count)
    reader.require(bool(np.isfinite(values).all()), "an action is not finite")
    return RobotAction(sequence, tick, deadline, values)


def decode_robot_command(frame: bytes) -> tuple[int, RobotCommand]:
    """The session and the message of a frame from the daemon to a robot."""
    reader = _Reader(frame, MAX_ROBOT_COMMAND)
    message: RobotCommand
    if reader.type == Type.ROBOT_WELCOME:
        message = Welcome(reader.unpack("<H")[0], reader.text(LONGEST_NAME))
    elif reader.type == Type.ROBOT_REFUSAL:
        message = _refusal(reader)
    elif reader.type == Type.ROBOT_ACTION:
        message = _action(reader)
    elif reader.type == Type.ROBOT_HOLD:
        message = Hold()
    elif reader.type == Type.ROBOT_ESTOP:
        message = Estop()
    elif reader.type == Type.ROBOT_RESET_ESTOP:
        message = ResetEstop(*reader.unpack("<I"))
    elif reader.type == Type.ROBOT_RESET:
        message = Reset(*reader.unpack("<IQ"))
    else:
        raise _wrong(f"message of type {reader.type} is no command to a robot")
    reader.finish()
    return reader.session, message


def _welcome(reader: _Reader) -> TeleopWelcome:
    version, role, reserved, size, control, policy, fresh = reader.unpack("<HBBHQQQ")
    reader.require(reserved == 0, "a reserved field is not 0")
    reader.require(role <= Role.ENGINEER, "a role is unknown")
    reader.require(0 < size <= MAX_ACTION_CHANNELS, "an action's size is out of range")
    reader.require(max(control, policy, fresh) <= LONGEST_PERIOD_NS, "a duration is out of range")
    names = [reader.text(LONGEST_NAME) for _ in range(3)]
    return TeleopWelcome(version, Role(role), size, control, policy, fresh, *names)


def _state(reader: _Reader) -> State:
    tick, now, observed, state, source, flags, role = reader.unpack("<QqqBBBB")
    reader.require(state <= Authority.ESTOP, "a state is unknown")
    reader.require(source <= Source.SCRIPT, "a source is unknown")
    reader.require(flags < 16, "an unknown flag is set")
    reader.require(role <= Role.ENGINEER, "a role is unknown")
    step, autonomous, limit, epoch, episode, weights = reader.unpack("<IIIQQQ")
    holder = reader.text(LONGEST_NAME)
    counts = reader.unpack("<HH")
    reader.require(max(counts) <= MAX_CHANNELS, "a state has too many channels")
    return State(
        tick=tick,
        now_ns=now,
        observed_ns=observed,
        state=Authority(state),
        source=Source(source),
        mine=bool(flags & 1),
        success=bool(flags & 2),
        recording=bool(flags & 4),
        last_success=bool(flags & 8),
        holder_role=Role(role),
        policy_step=step,
        autonomous=autonomous,
        step_limit=limit,
        epoch=epoch,
        episode=episode,
        weights=weights,
        holder=holder,
        proprioception=reader.floats(counts[0]),
        object_state=reader.floats(counts[1]),
    )


def ack_of(fields: object) -> Ack:
    """An ack's JSON, from either port. INVALID_ARGUMENT: it is none."""
    if not isinstance(fields, dict) or not isinstance(fields.get("ok"), bool):
        raise _wrong("an ack lacks 'ok'")

    def word(name: str) -> str:
        value = fields.get(name)
        return value if isinstance(value, str) else ""

    epoch = fields.get("epoch")
    ok = fields["ok"]
    code = Code.OK if ok else Code.named(word("code"))
    if not ok and code == Code.OK:
        code = Code.INTERNAL  # whatever it says: what was not done is no success
    return Ack(
        id=word("id"),
        ok=ok,
        code=code,
        message=word("message"),
        echo=word("echo"),
        epoch=epoch if isinstance(epoch, int) and epoch >= 0 else 0,
        holder=word("holder"),
        fields=fields,
    )


def _ack(reader: _Reader) -> Ack:
    try:
        return ack_of(json.loads(reader.take(len(reader.body))))
    except (ValueError, RecursionError) as error:
        raise _wrong(f"an ack is not JSON: {error}") from None


def decode_teleop_reply(frame: bytes) -> tuple[int, TeleopReply]:
    """The session and the message of a frame from the daemon to a teleoperation peer."""
    reader = _Reader(frame, MAX_TELEOP_REPLY + HEADER.size)
    message: TeleopReply
    if reader.type == Type.TELEOP_WELCOME:
        message = _welcome(reader)
    elif reader.type == Type.TELEOP_REFUSAL:
        message = _refusal(reader)
    elif reader.type == Type.TELEOP_STATE:
        message = _state(reader)
    elif reader.type == Type.TELEOP_ACK:
        message = _ack(reader)
    else:
        raise _wrong(f"message of type {reader.type} is no reply to a teleoperation peer")
    reader.finish()
    return reader.session, message
