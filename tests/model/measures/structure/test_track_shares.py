"""How much attention stays on what moves: heads made by hand, and the bundled model's best time head."""

from __future__ import annotations

import numpy as np
import pytest

import model
from model.measures.structure.track_shares import track_shares
from model.structures.clip_tracks import covered_patches, read_tracks
from model.trace.attention import Attention
from tests.model.measures.test_measures import made_up


def attention(*heads: list[list[float]]) -> Attention:
    return made_up(*map(np.array, heads))


def test_heads_made_by_hand() -> None:
    """The thing covers a and b, so of three others one is right; what a token gives itself does not count."""
    even = [[0.25] * 4] * 4
    on = [[0.5, 0.5, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    off = [[0.5, 0, 0.5, 0], [0, 0, 0, 1], [0, 0, 1, 0], [0, 0, 0, 1]]
    found = track_shares(attention(even, on, off), np.array([[True, True, False, False]]))
    assert found.shares[0].tolist() == pytest.approx([1 / 3, 1, 0])
    assert found.chance == pytest.approx(1 / 3)
    assert found.queries == 2


def test_what_cannot_look_both_on_and_off_is_not_counted() -> None:
    found = track_shares(attention([[0.25] * 4] * 4), np.array([[True, False, False, False]]))
    assert found.queries == 0  # there is nothing else on the track
    assert np.isnan(found.shares).all()
    assert track_shares(attention([[0.25] * 4] * 4), np.zeros((0, 4), bool)).queries == 0


def test_two_things_are_told_apart() -> None:
    crossed = [[1e-6, 1e-6, 0.5, 0.5]] * 2 + [[0.5, 0.5, 1e-6, 1e-6]] * 2
    found = track_shares(attention(crossed), np.array([[True, True, False, False], [False, False, True, True]]))
    assert found.shares.item() < 1e-5
    assert found.queries == 4


def test_the_best_time_head_stays_on_the_digit() -> None:
    trace = model.load("moving-digits", device="cpu").trace("assets/clips/clip_one.gif")
    assert trace.picture is not None
    covered = covered_patches(read_tracks(trace.text, 8), trace.picture)
    found = track_shares(trace.attentions["time"], covered)
    assert np.unravel_index(found.shares.argmax(), found.shares.shape) == (2, 2)  # as its card says
    assert found.shares.max() > 0.87 > 1.5 * found.chance
