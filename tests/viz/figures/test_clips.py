"""The frames of a clip as a figure, and the bars of who stays on what moves."""

from __future__ import annotations

import numpy as np
import pytest

from model.structures.clip_tracks import Track
from tests.model.structures.test_clip_tracks import made_up
from viz.figures.clips import clip_frames, frame_images
from viz.figures.theme import LIGHT
from viz.saving.still_image import still_image

TRACK = Track("7", "right", np.array([[0, 0, 0.25, 0.25], [0.5, 0, 1, 0.5]], np.float32))


def test_each_weight_stands_on_its_patch() -> None:
    weights = np.arange(9, dtype=np.float32) / 36
    figure = clip_frames(made_up(first=1), weights, 6, [TRACK], "Title", LIGHT)
    z = np.asarray(figure.data[0].z)
    assert z.shape == (3, 6)
    np.testing.assert_allclose(z[1:, :2] * 36, [[1, 2], [3, 4]])  # frame 0, below its name
    np.testing.assert_allclose(z[1:, 3:5] * 36, [[5, 6], [7, 8]], rtol=1e-6)  # frame 1, after a gap
    assert np.isnan(z[0]).all()
    assert np.isnan(z[:, [2, 5]]).all()
    (box,) = figure.layout.shapes  # place 6 is the second patch of frame 1
    assert (box.x0, box.x1, box.y0, box.y1) == (3.5, 4.5, 0.5, 1.5)
    names, track = figure.data[1:]
    assert list(names.text) == ["frame 0", "frame 1"]
    assert list(track.x[:2]) == [-0.5, 0]  # a quarter of the first frame
    assert list(track.x[6:8]) == [3.5, 4.5]  # the right half of the second
    assert track.name == "7 moving right"
    assert still_image(figure, LIGHT.page, "svg").startswith(b"<?xml")


def test_no_box_is_drawn_around_a_token_that_is_no_patch() -> None:
    figure = clip_frames(made_up(first=1), np.full(9, 1 / 9, np.float32), 0, [], "Title", LIGHT)
    assert not figure.layout.shapes
    assert len(frame_images(made_up())) == 2
    with pytest.raises(ValueError, match=r"1 \+ 8"):
        clip_frames(made_up(first=1), np.zeros(8, np.float32), 0, [], "Title", LIGHT)
