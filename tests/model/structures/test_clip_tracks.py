"""Tracks that are known beside the file of a clip, and the patches that they cover."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from model.structures.clip_files import read_clip
from model.structures.clip_tracks import covered_patches, patch_at, read_tracks
from model.trace.tokens import Picture

CLIPS = Path("assets/clips")


def made_up(first: int = 0) -> Picture:
    """Two frames of 4 × 4 pixels in 2 × 2 patches: white at the upper left, then at the upper right."""
    frames = np.zeros((2, 4, 4), np.uint8)
    frames[0, 0, 0] = frames[1, :2, 2:] = 255
    return Picture(np.repeat(frames.reshape(8, 4, 1), 3, axis=-1), rows=4, columns=2, first=first, frames=2)


def test_the_patches_of_a_track_are_those_with_its_ink(tmp_path: Path) -> None:
    boxes = [[0, 0, 1, 1], [2, 0, 4, 2]]
    file = {"size": 4, "tracks": [{"shows": "7", "goes": "right", "boxes": boxes}]}
    (tmp_path / "clip.json").write_text(json.dumps(file))
    (track,) = read_tracks(str(tmp_path / "clip.gif"), 2)
    assert track.middles.tolist() == [[0.125, 0.125], [0.75, 0.25]]
    assert covered_patches([track], made_up()).tolist() == [[True, False, False, False, False, True, False, False]]
    assert [patch_at(made_up(1), i, *at) for i, at in enumerate(track.middles)] == [1, 6]  # after one [CLS]
    assert patch_at(made_up(), 1, 1.0, 1.0) == 7  # the very corner


def test_a_clip_without_tracks_has_none(tmp_path: Path) -> None:
    assert read_tracks("", 8) == ()
    assert read_tracks(str(tmp_path / "own.gif"), 8) == ()
    assert read_tracks(str(CLIPS / "clip_one.gif"), 16) == ()  # of a model that sees other frames


@pytest.mark.parametrize(("name", "count"), [("clip_one", 1), ("clip_two", 2)])
def test_the_tracks_of_the_examples_hold_all_that_is_white(name: str, count: int) -> None:
    frames, _ = read_clip(CLIPS / f"{name}.gif", 8, 30)
    tracks = read_tracks(str(CLIPS / f"{name}.gif"), 8)
    assert len(tracks) == count
    outside = frames.copy()
    for track in tracks:
        for frame, box in zip(outside, track.boxes, strict=True):
            left, top, right, bottom = (box * 30).round().astype(int)
            assert frame[top:bottom, left:right].max() > 150
            frame[top:bottom, left:right] = 0
        moved = track.boxes[-1] - track.boxes[0]
        assert (moved[1] > 0) == (track.goes == "down")
    assert outside.max() <= 26  # a tenth of white
