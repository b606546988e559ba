"""The frames of a clip: of a moving picture or a film, or an array, for the models that read several."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from model.arrays.types import Array
from model.errors import InputError
from model.structures.file_content import BROKEN, file_content
from model.structures.film_files import CONTAINERS, film_frames
from model.structures.media import container_of

FORMATS = ("GIF", "WEBP", "PNG", "TIFF")  # of moving pictures, that Pillow reads without another program
MAX_PIXELS, MAX_FRAMES = 4_000_000, 1000
ClipSource = str | Path | bytes | Array


def read_clip(source: ClipSource, frames: int, size: int) -> tuple[Array, tuple[tuple[str, str], ...]]:
    """Frames as the model reads them, uint8 [frame, size, size], and notes (id, detail) on what was left out.

    Frames are taken evenly from the whole clip, the first and the last among them.

    Args:
        source: the path or the bytes of a moving picture or a film, or grey frames, uint8 [frame, height, width].
        frames: how many are wanted.

    Raises:
        InputError: it is no moving picture, cannot be read, has more bytes than are read or more than `MAX_FRAMES`, a
            frame of more than `MAX_PIXELS`, or fewer frames than the model reads; of a film, as of `film_frames`.
    """
    if isinstance(source, np.ndarray):
        shown, count = _array_frames(source, frames)
    else:
        shown, count = _file_frames(source, partial(_chosen, frames=frames), "L")
    notes = () if count == frames else (("clip_sampled", f"{frames}/{count}"),)
    return np.stack([_at_size(frame, size) for frame in shown]), notes


def read_colour_clip(source: str | Path | bytes, frames: int) -> tuple[list[Image.Image], tuple[tuple[str, str], ...]]:
    """Frames in RGB, and notes (id, detail): as `read_clip`, but of a shorter clip some frames are taken repeatedly.

    Raises:
        InputError: as of `read_clip`, but for a clip that is short.
    """
    shown, count = _file_frames(source, lambda found: _evenly(found, frames), "RGB")
    notes = ((("clip_sampled", f"{frames}/{count}"),) if count > frames else ()) + (
        (("clip_repeated", f"{count}/{frames}"),) if count < frames else ()
    )
    return [Image.fromarray(frame) for frame in shown], notes


def holds_clip(source: str | Path | bytes) -> bool:
    """Whether a file is a film, or a picture of more than one frame; False where it cannot be read as either.

    Raises:
        InputError: there is no such file, or it is too large.
    """
    content = file_content(source, "clip")
    if container_of(content, CONTAINERS):
        return True
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as opened:
            return getattr(opened, "n_frames", 1) > 1
    except BROKEN:
        return False


def _evenly(count: int, frames: int) -> list[int]:
    """Numbers of frames, evenly from the first to the last of `count`."""
    return [int(i) for i in np.linspace(0, count - 1, frames).round()]


def _chosen(count: int, frames: int) -> list[int]:
    """Which of `count` frames are read, evenly from the first to the last."""
    if count < frames:
        message = f"The clip has {count} frames; this model reads {frames}. Give a longer one."
        raise InputError("clip_short", message, frames=count, wanted=frames)
    return _evenly(count, frames)


def _array_frames(source: Array, frames: int) -> tuple[list[Array], int]:
    """The frames of an array that are read, and how many it has. source: uint8 [frame, height, width]"""
    if source.ndim != 3 or source.dtype != np.uint8 or not source.size:
        shape = "×".join(map(str, source.shape))
        raise InputError(
            "clip_none", f"Frames are grey pictures, uint8 [frame, height, width]; got {source.dtype} {shape}."
        )
    return [source[i] for i in _chosen(len(source), frames)], len(source)


def _file_frames(
    source: str | Path | bytes, choose: Callable[[int], Sequence[int]], mode: str
) -> tuple[list[Array], int]:
    """The frames of a file that are read, and how many it has. uint8 [height, width] each, or [height, width, 3]

    Args:
        choose: which of so many frames are wanted, in order; mode: "L" for grey, or "RGB".
    """
    content = file_content(source, "clip")
    if container := container_of(content, CONTAINERS):
        return film_frames(content, container, choose, MAX_PIXELS, mode)
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as opened:
            width, height = opened.size
            count = getattr(opened, "n_frames", 1)
            if width * height > MAX_PIXELS or count > MAX_FRAMES:
                message = f"The clip has {count} frames of {width} × {height} pixels: give a smaller one."
                raise InputError("clip_large", message, frames=count, width=width, height=height)
            shown = []
            for i in choose(count):
                opened.seek(i)
                shown.append(np.asarray(opened.convert(mode)))
            return shown, count
    except UnidentifiedImageError as error:
        raise InputError("clip_none", f"This is no moving picture: give one of {', '.join(FORMATS)}.") from error
    except InputError:
        raise
    except BROKEN as error:
        raise InputError("clip_broken", "The clip cannot be read to its end.") from error


def _at_size(frame: Array, size: int) -> Array:
    """The square in the middle of a frame, resized. uint8 [height, width] -> [size, size]"""
    height, width = frame.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = frame[top : top + side, left : left + side]
    if side == size:
        return np.ascontiguousarray(square)
    return np.asarray(Image.fromarray(square).resize((size, size), Image.Resampling.BILINEAR))
