"""Page -> key of a figure -> what reads it back and compares it with the run; one table for all pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from model.maps.words import merge_words
from model.trace.trace import Trace
from viz.figures.reading_series import picture_error
from viz.figures.sounds import bars_error_of_sound
from viz.widgets.drawn_numbers import on_screen
from viz.widgets.drawn_numbers.comparison import COMPARE
from viz.widgets.drawn_numbers.inside import INSIDE
from viz.widgets.drawn_numbers.layers_and_masks import LAYERS, MASKS
from viz.widgets.drawn_numbers.output_and_changes import CHANGES, OUTPUT
from viz.widgets.drawn_numbers.positions import POSITIONS


def _overlay(trace: Trace, figure: Any) -> float | None:
    """The weights of one query over the patches of a picture."""
    attention, (layer, head) = on_screen.attention_and_head(trace)
    picture = trace.picture
    if picture is None:
        return None
    weights = attention.row(layer, on_screen.row(attention))[head]
    return picture_error(figure, weights[picture.first :].reshape(picture.rows, picture.columns))


def _heard(trace: Trace, figure: Any) -> float | None:
    """The weights of one query over the moments of a sound."""
    attention, (layer, head) = on_screen.joined_and_head(trace)
    if trace.sound is None:
        return None
    attention = merge_words(attention) if on_screen.chosen("words", False) else attention
    weights = attention.row(layer, on_screen.row(attention))[head]
    return bars_error_of_sound(figure, trace.sound, weights)


READERS: Mapping[str, Mapping[str, on_screen.Reader]] = {
    "heads": {"overlay": _overlay, "heard": _heard},
    "inside": INSIDE,
    "positions": POSITIONS,
    "output": OUTPUT,
    "compare": COMPARE,
    "changes": CHANGES,
    "layers": LAYERS,
    "masks": MASKS,
}
