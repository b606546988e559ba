"""Rotary encodings: the match of a query and a key by their distance."""

from __future__ import annotations

import numpy as np
import pytest

from model.positions.rotary import match_by_distance, rotate

FREQUENCIES = np.array([1.0, 0.1, 0.01])


@pytest.mark.parametrize("pairs", [[[0, 3], [1, 4], [2, 5]], [[0, 1], [2, 3], [4, 5]]])
def test_the_match_depends_on_the_distance_alone(pairs: list[list[int]]) -> None:
    random = np.random.default_rng(0)
    query, key, dimensions = random.normal(size=8), random.normal(size=8), np.array(pairs)  # the last two: not rotated

    def placed(vector: np.ndarray, position: float) -> np.ndarray:
        return rotate(vector, position, FREQUENCIES, dimensions)

    turns = np.arange(-4.0, 60)
    match = match_by_distance(placed(query, 9), placed(key, 5), turns, FREQUENCIES, dimensions)
    expected = [placed(query, 4 + turn) @ key for turn in turns]  # the key at 0, the query 4 + turn ahead
    np.testing.assert_allclose(match.total, expected, atol=1e-12)
    assert match.total[4] == pytest.approx(placed(query, 9) @ placed(key, 5))
    assert match.rest == pytest.approx(query[6:] @ key[6:])
    assert np.ptp(match.parts[0]) > np.ptp(match.parts[2])


def test_a_rotation_keeps_lengths_and_turns_by_the_angle() -> None:
    turned = rotate(np.array([1.0, 0.0, 7.0]), 2, np.array([0.5]), np.array([[0, 1]]))
    np.testing.assert_allclose(turned, [np.cos(1), np.sin(1), 7])
