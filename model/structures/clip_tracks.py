"""What moves in a clip, and where it is in each frame, for clips whose tracks are known (NumPy only)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model.arrays.types import Array
from model.trace.tokens import Picture

LEAST_INK = 0.1  # of a patch that a thing covers: the share of white, as in the recipe of the bundled model


@dataclass(frozen=True, eq=False)
class Track:
    """One thing that moves.

    Attributes:
        shows: what it is, such as "7"; goes: which way, such as "down left".
        boxes: left, top, right and bottom in each frame, from 0 to 1. float32 [frame, 4]
    """

    shows: str
    goes: str
    boxes: Array

    @property
    def middles(self) -> Array:
        """The middle of the box in each frame, across and down. float32 [frame, 2]"""
        return (self.boxes[:, :2] + self.boxes[:, 2:]) / 2


def read_tracks(clip: str, frames: int) -> tuple[Track, ...]:
    """The tracks beside the file of a clip, under its name with `.json`; none where they are not known.

    Args:
        clip: path of the clip; "" for one of no file.
        frames: number of frames that the model sees; tracks of another number do not fit.
    """
    file = Path(clip).with_suffix(".json") if clip else None
    if file is None or not file.is_file():
        return ()
    found = json.loads(file.read_text(encoding="utf-8"))
    made = (
        Track(one["shows"], one["goes"], np.array(one["boxes"], np.float32) / found["size"]) for one in found["tracks"]
    )
    return tuple(one for one in made if len(one.boxes) == frames)


def covered_patches(tracks: Sequence[Track], picture: Picture) -> Array:
    """Which patches of a clip each thing covers: those of which its ink fills a tenth. bool [track, frame · patch]"""
    side, columns = picture.rows // picture.frames, picture.columns
    frames = (
        picture.pixels.reshape(picture.frames, -1, *picture.pixels.shape[1:]).mean(-1) / 255
    )  # [frame, row, column]
    height, width = frames.shape[1:]
    covered = np.zeros((len(tracks), picture.frames, side, columns), bool)
    for number, track in enumerate(tracks):
        for frame, box in enumerate(track.boxes):
            left, top, right, bottom = (box * [width, height, width, height]).round().astype(int)
            ink = np.zeros((height, width))
            ink[top:bottom, left:right] = frames[frame, top:bottom, left:right]
            patches = ink.reshape(side, height // side, columns, width // columns).mean((1, 3))
            covered[number, frame] = patches > LEAST_INK
    return covered.reshape(len(tracks), -1)


def patch_at(picture: Picture, frame: int, across: float, down: float) -> int:
    """Position, among the tokens, of the patch at a place of a frame. across, down: from 0 to 1"""
    side = picture.rows // picture.frames
    row, column = min(int(down * side), side - 1), min(int(across * picture.columns), picture.columns - 1)
    return picture.first + (frame * side + row) * picture.columns + column
