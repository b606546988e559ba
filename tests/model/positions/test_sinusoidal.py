"""Sine and cosine, as in the paper."""

from __future__ import annotations

import math

import numpy as np
import pytest

from model.positions.rotary import rotate
from model.positions.sinusoidal import LAYOUTS, columns, find_layout, sinusoidal


def test_values_of_the_paper() -> None:
    encoding = sinusoidal(20, 8)
    assert encoding[0].tolist() == [0, 1] * 4
    assert encoding[3, 0] == pytest.approx(math.sin(3))
    assert encoding[3, 5] == pytest.approx(math.cos(3 / 10_000 ** (4 / 8)))
    assert sinusoidal(20, 8, base=10)[3, 5] == pytest.approx(math.cos(3 / 10**0.5))


@pytest.mark.parametrize("offset", [1, 7])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_step_is_a_rotation(offset: int, layout: str) -> None:
    encoding, turning = sinusoidal(40, 16, layout=layout), columns(16, layout=layout)
    assert turning.pairs is not None
    cosine_first = turning.pairs[:, ::-1]
    for start in (0, 5, 30):
        turned = rotate(encoding[start], offset, turning.frequencies, cosine_first)
        np.testing.assert_allclose(turned, encoding[start + offset], atol=1e-12)
        assert not np.allclose(turned, encoding[start + offset + 1])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_table_tells_its_layout_and_its_first_row(layout: str) -> None:
    for first in (0, 2):
        assert find_layout(sinusoidal(20, 16, layout=layout, first=first)) == (layout, first)
    assert find_layout(sinusoidal(20, 16, base=1000, layout=layout)) is None
    assert find_layout(np.random.default_rng(0).normal(size=(20, 16))) is None


@pytest.mark.parametrize(("length", "d_model", "base"), [(0, 8, 10.0), (5, 7, 10.0), (5, 8, 0.0)])
def test_senseless_sizes_are_refused(length: int, d_model: int, base: float) -> None:
    with pytest.raises(ValueError, match=f"d_model={d_model}"):
        sinusoidal(length, d_model, base)
