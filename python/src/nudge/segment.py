"""Segment files: the steps of one episode. docs/reference/log-format.md gives the layout."""

from __future__ import annotations

import mmap
import os
import pathlib
import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nudge.status import Code, NudgeError

_HEADER = struct.Struct("<8sIIQIIII64s")
_RECORD = struct.Struct("<IIQQQqqQQIIBBHI")
_IMAGE = struct.Struct("<HHIIIq")
MAX_FEATURES, MAX_PROPRIOCEPTION, MAX_ACTIONS, MAX_CAMERAS = 512, 256, 64, 16
MAX_REFERENCE_ROWS = 64
MAX_JPEG = 4 << 20  # bytes
CLAMPED, FIRST_OF_CHUNK, STALE, SHORT = 1, 2, 4, 8  # flags
# present
_FEATURES, _PROPRIOCEPTION, _PROPOSED, _REQUESTED, _EXECUTED, _REFERENCE = 1, 2, 4, 8, 16, 32


def _table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)  # noqa: PLW2901
        table.append(value)
    return tuple(table)


_TABLE = _table()


def crc32c(data: bytes | memoryview) -> int:
    """CRC-32C (Castagnoli, reflected; RFC 3720)."""
    crc = 0xFFFFFFFF
    table = _TABLE
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


@dataclass(frozen=True)
class SegmentHeader:
    """The sizes of each record: features F, proprioception P, actions A, and the cameras."""

    episode: int
    features: int
    proprioception: int
    actions: int
    backbone: str  # hex SHA-256 of what made the features; empty: none
    cameras: tuple[str, ...]
    size: int  # bytes of the header
    reference_rows: int  # R, of reference chunks; 0: none are kept


@dataclass(frozen=True)
class StoredImage:
    """Where a frame lies in the segment. `captured_ns`: robot's steady clock."""

    camera: int  # index in the header
    width: int
    height: int
    captured_ns: int
    offset: int
    size: int


@dataclass(frozen=True)
class Record:
    """One policy step. What was not recorded is None. Times: robot's steady clock; wall: UTC."""

    sequence: int
    episode: int
    control_tick: int
    time_ns: int
    wall_ns: int
    weights: int
    span: int
    step: int
    flags: int
    source: int
    proprioception: NDArray[np.float32] | None  # [P]
    proposed: NDArray[np.float32] | None  # [A], rates in [-1, 1]
    requested: NDArray[np.float32] | None  # [A]
    executed: NDArray[np.float32] | None  # [A]
    features: NDArray[np.float16] | None  # [F]
    images: tuple[StoredImage, ...]
    end: int  # offset behind it
    reference: NDArray[np.float32] | None  # [R, A], begins with this step
    reference_age: int  # control ticks from the observation that it answers to this step's


class Segment:
    """A segment file, mapped to read. DATA_LOSS: it is not what its checksums say."""

    def __init__(self, path: str | os.PathLike[str], committed: int | None = None) -> None:
        """`committed`: what lies behind was never acknowledged, and is not read."""
        self.path = pathlib.Path(path)
        with open(self.path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size == 0:
                raise self._damaged("it is empty")
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._end = size if committed is None else min(size, committed)
        try:
            self.header = self._read_header()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Arrays and JPEGs that were given out stay: they are copies."""
        self._map.close()

    def _damaged(self, what: str) -> NudgeError:
        return NudgeError(Code.DATA_LOSS, f"{self.path}: {what}")

    def _read_header(self) -> SegmentHeader:
        if self._end < _HEADER.size:
            raise self._damaged("it is shorter than a header")
        magic, version, size, episode, features, proprioception, actions, cameras, backbone = (
            _HEADER.unpack_from(self._map)
        )
        if magic != b"NUDGESEG":
            raise self._damaged("it is no segment of a log")
        if version not in (1, 2):
            raise NudgeError(
                Code.UNIMPLEMENTED, f"{self.path}: version {version}; this package reads 1 and 2"
            )
        if (
            cameras > MAX_CAMERAS
            or features > MAX_FEATURES
            or proprioception > MAX_PROPRIOCEPTION
            or not 1 <= actions <= MAX_ACTIONS
            or size != _HEADER.size + 64 * cameras + 8
            or size > self._end
        ):
            raise self._damaged("its header is out of bounds")
        rows, crc = struct.unpack_from("<II", self._map, size - 8)
        if crc32c(self._map[: size - 4]) != crc:
            raise self._damaged("its header has another checksum")
        if rows > MAX_REFERENCE_ROWS or (rows > 0) != (version == 2):
            raise self._damaged("its header is out of bounds")
        names = tuple(
            self._map[at : at + 64].rstrip(b"\0").decode(errors="replace")
            for at in range(_HEADER.size, _HEADER.size + 64 * cameras, 64)
        )
        key = backbone.rstrip(b"\0").decode(errors="replace")
        return SegmentHeader(episode, features, proprioception, actions, key, names, size, rows)

    def record(self, offset: int, *, verify: bool = True) -> Record:
        """The record at `offset`. `verify`: its checksum too, about 10 MB a second."""
        if offset % 8 != 0 or offset < self.header.size or offset + _RECORD.size > self._end:
            raise self._damaged(f"there is no record at {offset}")
        fields = _RECORD.unpack_from(self._map, offset)
        crc, size, sequence, episode, tick, time_ns, wall_ns, weights, span = fields[:9]
        step, flags, source, present, count, age = fields[9:]
        h = self.header
        numbers = h.proprioception + (3 + h.reference_rows) * h.actions
        fixed = _RECORD.size + 4 * numbers + 2 * h.features
        fixed = (fixed + 7) // 8 * 8
        if size % 8 != 0 or size < fixed + _IMAGE.size * count or offset + size > self._end:
            raise self._damaged(f"the record at {offset} is out of bounds")
        if verify and crc32c(self._map[offset + 4 : offset + size]) != crc:
            raise self._damaged(f"the record at {offset} has another checksum")
        if episode != h.episode:
            raise self._damaged(f"the record at {offset} is of episode {episode}")
        at = offset + _RECORD.size

        def floats(length: int, bit: int) -> NDArray[np.float32] | None:
            nonlocal at
            values = np.frombuffer(self._map[at : at + 4 * length], "<f4").astype(np.float32)
            at += 4 * length
            return values if present & bit else None

        proprioception = floats(h.proprioception, _PROPRIOCEPTION)
        proposed = floats(h.actions, _PROPOSED)
        requested = floats(h.actions, _REQUESTED)
        executed = floats(h.actions, _EXECUTED)
        reference = floats(h.reference_rows * h.actions, _REFERENCE)
        features = None
        if present & _FEATURES:
            data = self._map[at : at + 2 * h.features]
            features = np.frombuffer(data, "<f2").astype(np.float16)
        images = self._images(offset + fixed, count, offset + size)
        return Record(
            sequence=sequence,
            episode=episode,
            control_tick=tick,
            time_ns=time_ns,
            wall_ns=wall_ns,
            weights=weights,
            span=span,
            step=step,
            flags=flags,
            source=source,
            proprioception=proprioception,
            proposed=proposed,
            requested=requested,
            executed=executed,
            features=features,
            images=images,
            end=offset + size,
            reference=None if reference is None else reference.reshape(-1, h.actions),
            reference_age=age,
        )

    def _images(self, at: int, count: int, end: int) -> tuple[StoredImage, ...]:
        images = []
        data = at + _IMAGE.size * count
        for number in range(count):
            camera, _, size, width, height, captured = _IMAGE.unpack_from(
                self._map, at + _IMAGE.size * number
            )
            if camera >= len(self.header.cameras) or size > MAX_JPEG or data + size > end:
                raise self._damaged(f"an image of the record before {end} is out of bounds")
            images.append(StoredImage(camera, width, height, captured, data, size))
            data += size
        return tuple(images)

    def jpeg(self, image: StoredImage) -> bytes:
        """The frame's bytes."""
        return self._map[image.offset : image.offset + image.size]
