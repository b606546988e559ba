"""A clip for the from-scratch video model: frames of a file or an array in grey, at the model's size."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from model.arrays.types import Array
from model.errors import InputError
from model.structures.file_content import BROKEN, file_content
from model.structures.media import container_of
from model.translator.video.film_files import CONTAINERS, film_frames

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
    shown, count = _array_frames(source, frames) if isinstance(source, np.ndarray) else _file_frames(source, frames)
    notes = () if count == frames else (("clip_sampled", f"{frames}/{count}"),)
    return np.stack([_at_size(frame, size) for frame in shown]), notes


def _chosen(count: int, frames: int) -> list[int]:
    """Which of `count` frames are read, evenly from the first to the last."""
    if count < frames:
        message = f"The clip has {count} frames; this model reads {frames}. Give a longer one."
        raise InputError("clip_short", message, frames=count, wanted=frames)
    return [int(i) for i in np.linspace(0, count - 1, frames).round()]


def _array_frames(source: Array, frames: int) -> tuple[list[Array], int]:
    """The frames of an array that are read, and how many it has. source: uint8 [frame, height, width]"""
    if source.ndim != 3 or source.dtype != np.uint8 or not source.size:
        shape = "×".join(map(str, source.shape))
        raise InputError(
            "clip_none", f"Frames are grey pictures, uint8 [frame, height, width]; got {source.dtype} {shape}."
        )
    return [source[i] for i in _chosen(len(source), frames)], len(source)


def _file_frames(source: str | Path | bytes, frames: int) -> tuple[list[Array], int]:
    """The frames of a file that are read, in grey, and how many it has. uint8 [height, width] each"""
    content = file_content(source, "clip")
    if container := container_of(content, CONTAINERS):
        return film_frames(content, container, partial(_chosen, frames=frames), MAX_PIXELS)
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as opened:
            width, height = opened.size
            count = getattr(opened, "n_frames", 1)
            if width * height > MAX_PIXELS or count > MAX_FRAMES:
                message = f"The clip has {count} frames of {width} × {height} pixels: give a smaller one."
                raise InputError("clip_large", message, frames=count, width=width, height=height)
            shown = []
            for i in _chosen(count, frames):
                opened.seek(i)
                shown.append(np.asarray(opened.convert("L")))
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
