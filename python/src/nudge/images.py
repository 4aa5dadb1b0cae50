"""Camera frames: what a robot sees, and how it becomes a JPEG."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from nudge.status import Code, NudgeError

Pixels: TypeAlias = NDArray[np.uint8]  # [height, width, 3], red, green, blue, top row first
Encoder: TypeAlias = Callable[[Pixels], bytes]


@dataclass(frozen=True)
class Image:
    """A frame of the camera with this name: its JPEG, or its pixels, which are then encoded.

    `captured_ns`: when the exposure ended, on the robot's steady clock; None: when the
    observation was read. A frame is sent once: the next one must have a later time.
    """

    camera: str
    pixels: Pixels | None = None
    jpeg: bytes = b""
    captured_ns: int | None = None


def pillow_encoder(quality: int = 85) -> Encoder:
    """Encodes with Pillow. FAILED_PRECONDITION: it is not installed."""
    try:
        from PIL import Image as PillowImage
    except ImportError:
        raise NudgeError(
            Code.FAILED_PRECONDITION,
            "camera frames travel as JPEG, and Pillow is not installed: 'pip install Pillow', give "
            "Robot an encoder, or give each Image its jpeg",
        ) from None

    def encode(pixels: Pixels) -> bytes:
        memory = io.BytesIO()
        PillowImage.fromarray(np.ascontiguousarray(pixels)).save(memory, "JPEG", quality=quality)
        return memory.getvalue()

    return encode


def jpeg_of(image: Image, width: int, height: int, encoder: Encoder | None) -> bytes:
    """The frame's JPEG. INVALID_ARGUMENT: its pixels are not height x width x 3 of uint8."""
    if image.jpeg:
        return image.jpeg
    pixels = image.pixels
    if pixels is None:
        raise NudgeError(Code.INVALID_ARGUMENT, f"camera '{image.camera}' gave an empty image")
    if pixels.shape != (height, width, 3) or pixels.dtype != np.uint8:
        raise NudgeError(
            Code.INVALID_ARGUMENT,
            f"camera '{image.camera}' gave {pixels.shape} of {pixels.dtype}; its spec says "
            f"({height}, {width}, 3) of uint8",
        )
    return (encoder or pillow_encoder())(pixels)
