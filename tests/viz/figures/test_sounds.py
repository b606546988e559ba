"""What a query listens to in a sound: numbers at their moments, on a numeric axis of seconds."""

from __future__ import annotations

import numpy as np
import pytest

from model.trace.tokens import Sound
from viz.figures.sounds import bars_error_of_sound, sound_bars
from viz.figures.theme import LIGHT

SOUND = Sound(np.array([0.1, 0.5, 0.2, 0.0], np.float32), 0.02)
WEIGHTS = np.array([0.1, 0.3, 0.2, 0.0, 0.25, 0.15], np.float32)  # the last two on silence


def test_bars_stand_at_their_moments_and_silence_is_left_out() -> None:
    figure = sound_bars(SOUND, WEIGHTS, "cat", LIGHT)
    bars = figure.data[1]
    np.testing.assert_allclose(bars.x, [0.01, 0.03, 0.05, 0.07])
    np.testing.assert_allclose(bars.y, WEIGHTS[:4])
    assert list(bars.customdata) == ["0.00 s", "0.02 s", "0.04 s", "0.06 s"]
    assert "cat" in figure.layout.title.text
    assert tuple(figure.layout.xaxis.range) == (0, 0.08)
    np.testing.assert_allclose(figure.data[0].y, np.array([0.2, 1, 0.4, 0]) * 0.3, atol=1e-6)


def test_the_bars_are_read_back() -> None:
    figure = sound_bars(SOUND, WEIGHTS, "cat", LIGHT)
    assert bars_error_of_sound(figure, SOUND, WEIGHTS) < 1e-6
    assert bars_error_of_sound(figure, SOUND, WEIGHTS[::-1]) > 0.1
    figure.data[1].x = np.asarray(figure.data[1].x) + 0.02
    assert bars_error_of_sound(figure, SOUND, WEIGHTS) == np.inf


def test_fewer_weights_than_moments_are_refused() -> None:
    with pytest.raises(ValueError, match="3 weights, but the sound has 4 moments"):
        sound_bars(SOUND, WEIGHTS[:3], "cat", LIGHT)
