"""Reads what happened: episodes as numpy arrays, with their spans, labels and words.

    for episode in nudge.LogReader("nudge-data").episodes():
        print(episode.number, episode.outcome, episode.steps.executed.shape)

While a daemon runs, it alone has its log open: read through it with `LogReader(daemon)`. Otherwise
the files are read where they are, and nothing in them is changed.
"""

from __future__ import annotations

import fcntl
import json
import os
import pathlib
import sqlite3
import struct
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from nudge.rest import Daemon
from nudge.segment import CLAMPED, Record, Segment
from nudge.status import Code, NudgeError

_APPLICATION_ID, _SCHEMA = 0x4E554447, 2
_PURPOSES = ("deployment", "demonstration", "evaluation")
_ENDS = ("task_done", "time_limit", "reset", "aborted")
_LABELS = ("none", "success", "failure", "discard")
_SPAN_KINDS = ("takeover", "nudge")
_SPAN_ENDS = ("released", "link_lost", "preempted", "episode_ended", "fault", "stopped")
_USES = ("not_understood", "instruction", "nudge", "comment")
_ROLES = ("script", "viewer", "supervisor", "engineer")
_SOURCES = ("hold", "policy", "human", "nudge", "script")
_U64 = (1 << 64) - 1
_PATIENCE_S = 30.0
_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class Event:
    """One event of the log; `data` as docs/reference/events.md describes its kind."""

    sequence: int
    kind: str
    episode: int
    step: int
    wall_ns: int  # since 1970-01-01 UTC
    actor: str
    role: str
    data: Mapping[str, Any]


@dataclass(frozen=True)
class Span:
    """A stretch of an episode that a person drove (takeover) or bent (nudge)."""

    number: int
    kind: str
    first_step: int
    last_step: int  # below `first_step`: empty; `first_step` while it is open
    reason: str | None  # why it ended; None while it is open
    complete: bool
    correction_from: int | None  # before that step it is recovery
    actor: str
    role: str
    label: str = "none"


@dataclass(frozen=True)
class Words:
    """What a person said, and what it was taken for."""

    text: str
    use: str
    understood_as: str
    step: int
    actor: str


@dataclass(frozen=True)
class Steps:
    """The policy steps of an episode, [N] each, or [N, channels]. NaN: not recorded.

    A step that got lost is missing: look at `step`. Through a daemon some are not known: None.
    """

    step: NDArray[np.uint32]  # number in the episode, from 0
    source: tuple[str, ...]  # hold, policy, human, nudge, script
    weights: NDArray[np.uint64]  # version that proposed; 0: none
    seconds: NDArray[np.float64]  # since the first step
    clamped: NDArray[np.bool_]
    proposed: NDArray[np.float32]  # [N, A], rates in [-1, 1]
    executed: NDArray[np.float32]  # [N, A]
    requested: NDArray[np.float32] | None = None  # [N, A]
    proprioception: NDArray[np.float32] | None = None  # [N, P], in the robot's units
    features: NDArray[np.float16] | None = None  # [N, F]
    time_ns: NDArray[np.int64] | None = None  # robot's steady clock, comparable within a boot
    wall_ns: NDArray[np.int64] | None = None  # since 1970-01-01 UTC
    span: NDArray[np.uint64] | None = None  # 0: none

    def __len__(self) -> int:
        return len(self.step)


@dataclass(frozen=True)
class Episode:
    """One episode. `outcome` is the label that counts: none, success, failure or discard."""

    number: int
    purpose: str
    instruction: str
    ended: bool
    end_reason: str | None
    outcome: str
    steps: Steps
    spans: Sequence[Span]
    words: Sequence[Words]
    discarded: Sequence[tuple[int, int]]  # first and last step that are never learned from
    lost: Sequence[tuple[int, int]]  # first step and count of those that are missing
    cameras: Sequence[str]
    events: Sequence[Event]
    seed: int | None = None  # as given to the robot's reset
    whole: bool = True  # False: the daemon could not read, or not send, all of its steps
    _source: Any = field(default=None, repr=False, compare=False)

    def frame(self, camera: str, step: int) -> bytes | None:
        """The JPEG that a camera had at this policy step; None: none was recorded."""
        found = self._source.frame(self, camera, step)
        return bytes(found) if found is not None else None


class _Source(Protocol):
    def numbers(self) -> list[int]: ...
    def episode(self, number: int) -> Episode: ...
    def frame(self, episode: Episode, camera: str, step: int) -> bytes | None: ...
    def close(self) -> None: ...


class LogReader:
    """Reads a log. One thread at a time."""

    def __init__(self, where: Daemon | str | os.PathLike[str], *, verify: bool = True) -> None:
        """`where`: a daemon that runs, or the state folder of one that does not.

        `verify`: check every record's checksum, about 10 MB a second.

        UNAVAILABLE: the log is in use; give the daemon instead. NOT_FOUND: there is no log.
        FAILED_PRECONDITION: a log of another version.
        """
        self._source: _Source
        if isinstance(where, Daemon):
            self._source = _DaemonLog(where)
        else:
            self._source = _FileLog(pathlib.Path(where), verify)

    def __enter__(self) -> LogReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the files: a daemon may start again."""
        self._source.close()

    def numbers(self) -> list[int]:
        """Of all episodes that can be read, oldest first."""
        return self._source.numbers()

    def episode(self, number: int) -> Episode:
        """NOT_FOUND: there is none. DATA_LOSS: its steps are damaged."""
        return self._source.episode(number)

    def episodes(self) -> Iterator[Episode]:
        """All of them, oldest first, one in memory at a time."""
        for number in self.numbers():
            yield self.episode(number)


def _word(words: Sequence[str], number: object) -> str:
    if isinstance(number, int) and 0 <= number < len(words):
        return words[number]
    return f"unknown_{number}"


def _outcomes(events: Sequence[Event]) -> dict[tuple[int, int], str]:
    """What counts by (episode, span): the last label of the highest role that has one."""
    said: dict[tuple[int, int], dict[int, str]] = {}
    for event in events:
        if event.kind != "label":
            continue
        about = (int(event.data["episode"]), int(event.data["span"]))
        rank = _ROLES.index(event.role) if event.role in _ROLES else 0
        said.setdefault(about, {})[rank] = _word(_LABELS, event.data["value"])
    found = {}
    for about, by_rank in said.items():
        values = [by_rank[rank] for rank in sorted(by_rank, reverse=True)]
        found[about] = next((value for value in values if value != "none"), "none")
    return found


# ---- the files -----------------------------------------------------------------------------------


class _FileLog:
    def __init__(self, state: pathlib.Path, verify: bool) -> None:
        self._verify = verify
        self._folder = state / "log"
        if not (self._folder / "log.db").exists():
            if not (state / "log.db").exists():
                raise NudgeError(Code.NOT_FOUND, f"{self._folder}: there is no log here")
            self._folder = state
        self._lock = -1
        self._database: sqlite3.Connection | None = None
        try:
            self._take_lock()
            self._refuse_other_versions()
            path = (self._folder / "log.db").resolve().as_uri()
            self._database = sqlite3.connect(
                f"{path}?mode=ro", uri=True, check_same_thread=False, isolation_level=None
            )
            self._database.execute("PRAGMA query_only = 1")
            (version,) = self._database.execute("PRAGMA user_version").fetchone()
            self._check_version(version)
        except sqlite3.Error as error:
            self.close()
            raise self._trouble(error) from None
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _take_lock(self) -> None:
        """Whoever has the log open is alone with it, readers too."""
        path = self._folder / "lock"
        try:
            self._lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            self._lock = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._lock, 128, 0).decode(errors="replace").strip()
            raise NudgeError(
                Code.UNAVAILABLE,
                f"{self._folder}: the log is in use by {holder or 'another process'}; while a "
                "daemon runs, read through it: LogReader(nudge.Daemon(ADDRESS))",
            ) from None
        try:
            os.ftruncate(self._lock, 0)
            os.pwrite(self._lock, f"process {os.getpid()}, nudge.LogReader\n".encode(), 0)
        except OSError:
            pass  # for people only

    def _refuse_other_versions(self) -> None:
        """By the file's header, before SQLite makes anything beside it."""
        with open(self._folder / "log.db", "rb") as file:
            header = file.read(72)
        if len(header) < 72:
            return
        version, application = struct.unpack(">I4xI", header[60:72])
        if application == _APPLICATION_ID and version > _SCHEMA:
            self._check_version(version)

    def _check_version(self, version: int) -> None:
        if version == _SCHEMA:
            return
        what = "an older version; start the daemon once to bring it up to date"
        if version > _SCHEMA:
            what = "a newer version; install a newer package"
        raise NudgeError(
            Code.FAILED_PRECONDITION,
            f"{self._folder}/log.db: written by {what} (schema {version}, this reads {_SCHEMA})",
        )

    def _query(self, sql: str, *values: int) -> list[tuple[Any, ...]]:
        if self._database is None:
            raise NudgeError(Code.FAILED_PRECONDITION, "the log was closed")
        try:
            return self._database.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise self._trouble(error) from None

    def _trouble(self, error: sqlite3.Error) -> NudgeError:
        """Files that cannot be opened are told from files that are not what they should be."""
        opening = isinstance(error, sqlite3.OperationalError)
        code = Code.UNAVAILABLE if opening else Code.DATA_LOSS
        return NudgeError(code, f"{self._folder}/log.db: {error}")

    def numbers(self) -> list[int]:
        rows = self._query("SELECT subject, episode FROM events WHERE kind = 'episode_started'")
        return sorted({int(row[1] or row[0]) & _U64 for row in rows})

    def _events(self, number: int) -> list[Event]:
        # What people say later is about the episode, not of it. Splits, which are few, name a span
        # only.
        rows = self._query(
            "SELECT sequence, kind, episode, policy_step, wall_time_ns, actor, role, payload "
            "FROM events WHERE episode = ?1 OR kind = 'span_split' OR "
            "(kind IN ('label', 'steps_discarded') AND json_extract(payload, '$.episode') = ?1) "
            "ORDER BY sequence",
            number,
        )
        events = []
        for sequence, kind, episode, step, wall, actor, role, payload in rows:
            try:
                data = json.loads(payload)
            except ValueError:
                raise NudgeError(
                    Code.DATA_LOSS, f"{self._folder}/log.db: event {sequence} is not JSON"
                ) from None
            events.append(
                Event(sequence, kind, episode & _U64, step, wall, actor, _word(_ROLES, role), data)
            )
        return events

    def episode(self, number: int) -> Episode:
        events = self._events(number)
        own = [event for event in events if event.episode == number]
        started = next((event for event in own if event.kind == "episode_started"), None)
        if started is None:
            raise NudgeError(Code.NOT_FOUND, f"{self._folder}: there is no episode {number}")
        outcomes = _outcomes(events)
        spans = _spans(own, events, outcomes, number)
        words = [
            Words(
                event.data["text"],
                _word(_USES, event.data["use"]),
                event.data["understood_as"],
                event.step,
                event.actor,
            )
            for event in own
            if event.kind == "words"
        ]
        ended = next((event for event in own if event.kind == "episode_ended"), None)
        records, cameras, sizes = self._records(number)
        return Episode(
            number=number,
            purpose=_word(_PURPOSES, started.data["purpose"]),
            instruction=started.data["instruction"],
            ended=ended is not None,
            end_reason=_word(_ENDS, ended.data["reason"]) if ended else None,
            outcome=outcomes.get((number, 0), "none"),
            steps=_steps(records, *sizes),
            spans=spans,
            words=words,
            discarded=[
                (event.data["first_step"], event.data["last_step"])
                for event in events
                if event.kind == "steps_discarded" and event.data["episode"] == number
            ],
            lost=[
                (event.data["first_step"], event.data["count"])
                for event in own
                if event.kind == "steps_lost"
            ],
            cameras=cameras,
            events=own,
            seed=started.data["seed"],
            _source=self,
        )

    def _segment(self, number: int) -> Segment | None:
        rows = self._query("SELECT file, committed_bytes FROM segments WHERE episode = ?1", number)
        if not rows or rows[0][1] == 0:
            return None
        if self._query(
            "SELECT 1 FROM events WHERE kind = 'episode_evicted' AND subject = ?1", number
        ):
            return None  # deleted to keep to log.budget_bytes; its events are here
        file, committed = rows[0]
        if pathlib.PurePath(file).name != file:
            raise NudgeError(Code.DATA_LOSS, f"{self._folder}/log.db: a segment is called '{file}'")
        path = self._folder / "segments" / file
        if not path.exists():
            raise NudgeError(Code.DATA_LOSS, f"{path} is missing")
        return Segment(path, committed)

    def _walk(self, number: int, segment: Segment) -> Iterator[Record]:
        runs = self._query(
            "SELECT first_sequence, last_sequence, first_offset, end_offset FROM runs "
            "WHERE episode = ?1 ORDER BY first_sequence",
            number,
        )
        for first, last, begin, end in runs:
            offset = begin
            for sequence in range(first, last + 1):
                record = segment.record(offset, verify=self._verify)
                if record.sequence != sequence:
                    raise NudgeError(
                        Code.DATA_LOSS,
                        f"{segment.path}: at {offset} is sequence {record.sequence}, not "
                        f"{sequence}",
                    )
                yield record
                offset = record.end
            if offset != end:
                raise NudgeError(Code.DATA_LOSS, f"{segment.path}: a run ends at {offset}")

    def _records(self, number: int) -> tuple[list[Record], tuple[str, ...], tuple[int, int, int]]:
        segment = self._segment(number)
        if segment is None:
            return [], (), (0, 0, 0)
        try:
            header = segment.header
            if header.episode != number:
                raise NudgeError(
                    Code.DATA_LOSS, f"{segment.path}: it is of episode {header.episode}"
                )
            sizes = (header.actions, header.proprioception, header.features)
            return list(self._walk(number, segment)), header.cameras, sizes
        finally:
            segment.close()

    def frame(self, episode: Episode, camera: str, step: int) -> bytes | None:
        if camera not in episode.cameras:
            return None
        segment = self._segment(episode.number)
        if segment is None:
            return None
        try:
            for record in self._walk(episode.number, segment):
                for image in record.images:
                    if record.step == step and episode.cameras[image.camera] == camera:
                        return segment.jpeg(image)
            return None
        finally:
            segment.close()


def _spans(
    own: Sequence[Event],
    events: Sequence[Event],
    outcomes: Mapping[tuple[int, int], str],
    number: int,
) -> list[Span]:
    splits = {
        int(event.data["span"]): int(event.data["correction_from"])
        for event in events
        if event.kind == "span_split"
    }
    closed = {int(event.data["span"]): event for event in own if event.kind == "span_closed"}
    spans = []
    for event in own:
        if event.kind != "span_opened":
            continue
        span = int(event.data["span"])
        end = closed.get(span)
        spans.append(
            Span(
                number=span,
                kind=_word(_SPAN_KINDS, event.data["kind"]),
                first_step=event.data["first_step"],
                last_step=end.data["last_step"] if end else event.data["first_step"],
                reason=_word(_SPAN_ENDS, end.data["reason"]) if end else None,
                complete=bool(end.data["complete"]) if end else False,
                correction_from=splits.get(span),
                actor=event.actor,
                role=event.role,
                label=outcomes.get((number, span), "none"),
            )
        )
    return spans


def _steps(records: Sequence[Record], actions: int, proprioception: int, features: int) -> Steps:
    def rows(name: str, width: int) -> NDArray[np.float32]:
        found = np.full((len(records), width), np.nan, np.float32)
        for row, record in enumerate(records):
            values = getattr(record, name)
            if values is not None:
                found[row] = values
        return found

    times = np.array([record.time_ns for record in records], np.int64)
    return Steps(
        step=np.array([record.step for record in records], np.uint32),
        source=tuple(_word(_SOURCES, record.source) for record in records),
        weights=np.array([record.weights for record in records], np.uint64),
        seconds=(times - times[0]) / 1e9 if len(times) else np.empty(0, np.float64),
        clamped=np.array([bool(record.flags & CLAMPED) for record in records], np.bool_),
        proposed=rows("proposed", actions),
        executed=rows("executed", actions),
        requested=rows("requested", actions),
        proprioception=rows("proprioception", proprioception),
        features=rows("features", features).astype(np.float16),
        time_ns=times,
        wall_ns=np.array([record.wall_ns for record in records], np.int64),
        span=np.array([record.span for record in records], np.uint64),
    )


# ---- a daemon ------------------------------------------------------------------------------------


class _DaemonLog:
    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    def close(self) -> None:
        """It keeps no connection."""

    def _patiently(self, ask: Callable[[], _Answer]) -> _Answer:
        """The daemon lets the past be read only so fast, beside its work."""
        end = time.monotonic() + _PATIENCE_S
        while True:
            try:
                return ask()
            except NudgeError as error:
                if error.code != Code.RESOURCE_EXHAUSTED or time.monotonic() > end:
                    raise
            time.sleep(0.05)

    def numbers(self) -> list[int]:
        return [int(row["id"]) for row in self._daemon.episodes(1000)]

    def frame(self, episode: Episode, camera: str, step: int) -> bytes | None:
        try:
            return self._patiently(lambda: self._daemon.frame(episode.number, camera, step))
        except NudgeError as error:
            if error.code == Code.NOT_FOUND:
                return None
            raise

    def episode(self, number: int) -> Episode:
        try:
            found = self._patiently(lambda: self._daemon.episode(number))
        except NudgeError as error:
            if error.code != Code.NOT_FOUND:
                raise
            raise NudgeError(
                Code.NOT_FOUND,
                f"{self._daemon.address} gives no steps of episode {number}: there is none, or the "
                "daemon is of a version that does not; stop it and read its state folder",
            ) from None
        try:
            return episode_of(found, self)
        except (
            KeyError,
            TypeError,
            ValueError,
            IndexError,
            OverflowError,
            AttributeError,
        ) as error:
            raise NudgeError(
                Code.DATA_LOSS, f"{self._daemon.address}: episode {number} is malformed: {error!r}"
            ) from None


def _actions(rows: Sequence[Sequence[float | None] | None], width: int) -> NDArray[np.float32]:
    found = np.full((len(rows), width), np.nan, np.float32)
    for number, row in enumerate(rows):
        if row is not None:
            found[number] = [np.nan if value is None else value for value in row]
    return found


def episode_of(found: Mapping[str, Any], source: object = None) -> Episode:
    """The episode in an answer of `GET /api/v1/episodes/{id}`. Raises KeyError and its like."""
    step = found["step"]
    # An entry for each policy step; those that are missing are called lost.
    there = [number for number, word in enumerate(step["source"]) if word != "lost"]

    def rows(name: str) -> list[Any]:
        return [step[name][number] for number in there]

    executed, proposed = rows("executed"), rows("proposed")
    width = max((len(row) for row in (*executed, *proposed) if row), default=0)
    events = [
        Event(
            sequence=int(row["sequence"]),
            kind=str(row["kind"]),
            episode=int(row["episode"]),
            step=int(row["step"]),
            wall_ns=int(row["wall_ms"]) * 1_000_000,
            actor=str(row["actor"]["name"]),
            role=str(row["actor"]["role"]),
            data=row["data"],
        )
        for row in found.get("events", [])
    ]
    return Episode(
        number=int(found["id"]),
        purpose=str(found["purpose"]),
        instruction=str(found["instruction"]),
        ended=bool(found["ended"]),
        end_reason=next(
            (
                _word(_ENDS, event.data.get("reason"))
                for event in events
                if event.kind == "episode_ended"
            ),
            None,
        ),
        outcome=str(found["outcome"]),
        steps=Steps(
            step=np.array(there, np.uint32),
            source=tuple(str(word) for word in rows("source")),
            weights=np.array(rows("weights"), np.uint64),
            seconds=np.array(rows("seconds"), np.float64),
            clamped=np.array(rows("clamped"), np.bool_),
            proposed=_actions(proposed, width),
            executed=_actions(executed, width),
        ),
        spans=[
            Span(
                number=int(row["id"]),
                kind=str(row["kind"]),
                first_step=int(row["first_step"]),
                last_step=int(row["last_step"]),
                reason=row.get("reason"),
                complete=bool(row.get("complete", True)),
                correction_from=row.get("correction_from"),
                actor=str(row["actor"]["name"]),
                role=str(row["actor"]["role"]),
                label=str(row.get("label", "none")),
            )
            for row in found.get("spans", [])
        ],
        words=[
            Words(
                text=str(event.data.get("text", "")),
                use=_word(_USES, event.data.get("use")),
                understood_as=str(event.data.get("understood_as", "")),
                step=event.step,
                actor=event.actor,
            )
            for event in events
            if event.kind == "words"
        ],
        discarded=[
            (int(row["first_step"]), int(row["last_step"])) for row in found.get("discarded", [])
        ],
        lost=[(int(row["first_step"]), int(row["count"])) for row in found.get("lost", [])],
        cameras=tuple(str(row["name"]) for row in found.get("cameras", [])),
        events=events,
        seed=next(
            (event.data.get("seed") for event in events if event.kind == "episode_started"), None
        ),
        whole=bool(found.get("recorded", True))
        and not found.get("damaged")
        and not found.get("truncated"),
        _source=source,
    )
