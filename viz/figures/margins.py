"""Widths of labels and the margins that the labels and titles of a heat map need."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence

from viz.figures.theme import shorten

AXIS_TITLE, BAR = 40, 95  # pixels of an axis title with its standoff, and of the colour bar
LINE = 18  # pixels of each further line of a title
PHONE = 200  # pixels of all columns of a map on a phone


def width(label: str, size: float) -> float:
    """Estimated width of a label in pixels, rather too large than too small; size: of its font."""

    def relative_width(letter: str) -> float:
        """Width in multiples of the font size."""
        if unicodedata.category(letter) in ("Mn", "Me", "Cf"):  # combining and format characters take no room
            return 0.0
        if unicodedata.east_asian_width(letter) in "WF":
            return 1.4
        return 0.4 if letter in "fijlrtI.,:;!'|()[]-· " else 0.95 if letter.isupper() or letter in "mw%@…" else 0.62

    return size * sum(map(relative_width, label))


def fit_horizontally(labels: Sequence[str], size: float) -> bool:
    """Whether horizontal labels fit side by side on a phone; size: of their font."""
    return len(labels) * (max((width(label, size) for label in labels), default=0.0) + 6) <= PHONE


def margins(
    rows: Sequence[str], columns: Sequence[str], sizes: tuple[float, float], angle: int, bar: bool, lines: int = 1
) -> dict[str, int]:
    """Plotly margins with room for the labels of a heat map, its axis titles and its colour bar, in pixels.

    Too small a margin is enlarged by Plotly, which then draws the map a second time.

    Args:
        rows, columns: labels.
        sizes: font sizes of row and column labels.
        angle: of the column labels, in degrees.
        bar: whether there is a colour bar.
        lines: of the column title.
    """
    down, across = (
        max((width(shorten(label), size) for label in labels), default=0.0)
        for labels, size in zip((rows, columns), sizes, strict=True)
    )
    turned = math.radians(abs(angle))
    below = across * math.sin(turned) + 1.3 * sizes[1] * math.cos(turned)
    bottom = round(below) + AXIS_TITLE + (lines - 1) * LINE
    return {"l": round(down) + AXIS_TITLE, "r": BAR if bar else 8, "t": 44, "b": bottom}
