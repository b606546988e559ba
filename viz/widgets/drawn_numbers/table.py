"""Page -> key of a figure -> what reads it back and compares it with the run; one table for all pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from model.trace.trace import Trace
from viz.figures.reading_series import picture_error
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


READERS: Mapping[str, Mapping[str, on_screen.Reader]] = {
    "heads": {"overlay": _overlay},
    "inside": INSIDE,
    "positions": POSITIONS,
    "output": OUTPUT,
    "compare": COMPARE,
    "changes": CHANGES,
    "layers": LAYERS,
    "masks": MASKS,
}
