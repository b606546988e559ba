"""Frames of films such as MP4, evenly in time, decoded by PyAV, which is optional."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from model.arrays.types import Array
from model.errors import InputError
from model.structures.media import minutes, opened_media

MAX_SECONDS = 120
MAX_DECODED = 3_000_000_000  # pixels of all frames that are decoded to reach those that are wanted: some 10 s of a core
LARGEST_SIDE = 4096  # pixels; a larger frame is refused before it is decoded
FORMATS = {"L": "gray", "RGB": "rgb24"}  # Pillow's name of a mode -> FFmpeg's
CONTAINERS = ((4, b"ftyp", "mov"), (0, b"\x1a\x45\xdf\xa3", "matroska"), (8, b"AVI ", "avi"))


def film_frames(
    content: bytes, container: str, choose: Callable[[int], Sequence[int]], max_pixels: int, mode: str = "L"
) -> tuple[list[Array], int]:
    """The chosen frames of a film, upright, and how many it has. uint8 [height, width] each, or [height, width, 3]

    Args:
        container: one of `CONTAINERS`, by its name.
        choose: which of so many frames are wanted, in order.
        max_pixels: of a frame; mode: "L" for grey, or "RGB".

    Raises:
        InputError: PyAV is missing, or the film is damaged, longer than `MAX_SECONDS`, or too large.
    """
    with opened_media(content, container, "clip", "film") as (_, opened):
        if not opened.streams.video and not opened.streams.audio:  # what says where its parts are is cut off
            raise InputError("clip_broken", "The film cannot be read: its end is missing.")
        if not opened.streams.video:
            raise InputError("clip_none", "This file has sound, and no picture.")
        stream = opened.streams.video[0]
        packets = [(int(one.pts), one.is_keyframe) for one in opened.demux(stream) if one.pts is not None]
        times = sorted({time for time, _ in packets})
        _check(stream, times, max_pixels)
        wanted = [times[i] for i in choose(len(times))]
        keys = sorted(time for time, is_key in packets if is_key)
        return _decoded(opened, stream, wanted, keys, FORMATS[mode]), len(times)


def _check(stream: Any, times: Sequence[int], max_pixels: int) -> None:
    """Refuse a film that is empty, too long or too large.

    Args:
        times: of its frames, in units of the stream.
    """
    if not times:
        raise InputError("clip_broken", "The film has no frame that can be read.")
    if (times[-1] - times[0]) * stream.time_base > MAX_SECONDS:
        raise _too_long(stream, times)
    width, height = stream.codec_context.width, stream.codec_context.height
    if width * height > max_pixels or max(width, height) > LARGEST_SIDE:
        message = f"The film has {len(times)} frames of {width} × {height} pixels: give a smaller one."
        raise InputError("clip_large", message, frames=len(times), width=width, height=height)


def _too_long(stream: Any, times: Sequence[int]) -> InputError:
    """The error that says how long a film is. times: as in `_check`"""
    said = minutes(float((times[-1] - times[0]) * stream.time_base))
    return InputError("clip_long", f"The film takes {said} minutes: cut out a short piece.", time=said)


def _decoded(opened: Any, stream: Any, wanted: Sequence[int], keys: Sequence[int], form: str) -> list[Array]:
    """The frames at some times, in order: from the key frame before each one on, unless decoding is past that.

    Raises:
        InputError: too much would have to be decoded.
        ValueError: a frame cannot be decoded.
    """
    stream.thread_type = "NONE"  # else frames of threads that end late are lost at a jump
    shown: dict[int, Array] = {}
    frames: Iterator[Any] = iter(())
    reached: int | None = None
    pixels = 0
    for time in wanted:
        key = max((one for one in keys if one <= time), default=wanted[0])
        if reached is None or key > reached:
            opened.seek(key, stream=stream, backward=True)
            frames = opened.decode(stream)
        for frame in frames:
            pixels += frame.width * frame.height
            if pixels > MAX_DECODED:
                raise _too_long(stream, wanted)
            reached = int(frame.pts) if frame.pts is not None else reached
            if reached is not None and reached >= time:
                picture = frame.to_ndarray(format=form)
                shown[time] = np.rot90(picture, round(frame.rotation / 90) % 4)
                break
    if len(shown) < len(set(wanted)):
        raise ValueError("frames are missing")
    return [shown[time] for time in wanted]
