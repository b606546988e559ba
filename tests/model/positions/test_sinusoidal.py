"""Sine and cosine, as in the paper."""

from __future__ import annotations

import math

import numpy as np
import pytest

from model.positions.sinusoidal import rotation, sinusoidal


def test_values_of_the_paper() -> None:
    encoding = sinusoidal(20, 8)
    assert encoding[0].tolist() == [0, 1] * 4
    assert encoding[3, 0] == pytest.approx(math.sin(3))
    assert encoding[3, 5] == pytest.approx(math.cos(3 / 10_000 ** (4 / 8)))
    assert sinusoidal(20, 8, base=10)[3, 5] == pytest.approx(math.cos(3 / 10**0.5))


@pytest.mark.parametrize("offset", [1, 7])
def test_a_step_is_a_rotation(offset: int) -> None:
    encoding, turn = sinusoidal(40, 16), rotation(offset, 16)
    np.testing.assert_allclose(turn @ turn.T, np.eye(16), atol=1e-12)
    for start in (0, 5, 30):
        np.testing.assert_allclose(turn @ encoding[start], encoding[start + offset], atol=1e-12)
    assert not np.allclose(turn @ encoding[5], encoding[5 + offset + 1])


@pytest.mark.parametrize(("length", "d_model", "base"), [(0, 8, 10.0), (5, 7, 10.0), (5, 8, 0.0)])
def test_senseless_sizes_are_refused(length: int, d_model: int, base: float) -> None:
    with pytest.raises(ValueError, match=f"d_model={d_model}"):
        sinusoidal(length, d_model, base)
