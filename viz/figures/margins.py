"""How much room the labels and titles of a map take."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence

from viz.figures.theme import shorten

AXIS_TITLE, BAR = 40, 95  # pixels that an axis's title takes with its distance, and the colour bar
LINE = 18  # and each further line of a title
PHONE = 200  # pixels that a map's columns have on a phone


def width(label: str, size: float) -> float:
    """About how many pixels wide a label is; sooner too many than too few."""

    def share(letter: str) -> float:
        if unicodedata.category(letter) in ("Mn", "Me", "Cf"):  # drawn over the letter before, or not at all
            return 0.0
        if unicodedata.east_asian_width(letter) in "WF":
            return 1.4
        return 0.4 if letter in "fijlrtI.,:;!'|()[]-· " else 0.95 if letter.isupper() or letter in "mw%@…" else 0.62

    return size * sum(map(share, label))


def lies_flat(labels: Sequence[str], size: float) -> bool:
    """Whether labels fit side by side even on a phone."""
    return len(labels) * (max((width(label, size) for label in labels), default=0.0) + 6) <= PHONE


def halved(title: str) -> str:
    """A title in two lines, parted where they come out most alike."""
    spaces = [place for place, letter in enumerate(title) if letter == " "]
    middle = min(spaces, key=lambda place: abs(2 * place - len(title)), default=len(title))
    return f"{title[:middle]}<br>{title[middle + 1 :]}" if spaces else title


def margins(
    rows: Sequence[str], columns: Sequence[str], sizes: tuple[float, float], angle: int, bar: bool, lines: int = 1
) -> dict[str, int]:
    """Room for the labels of a map, its axis titles and its colour bar, if it has one, in pixels.

    Where it is too little Plotly finds that out and makes more, but has to draw the map a second time.

    Args:
        sizes: of the letters of rows and of columns; angle: of the columns' labels; lines: of the columns' title.
    """
    down, across = (
        max((width(shorten(label), size) for label in labels), default=0.0)
        for labels, size in zip((rows, columns), sizes, strict=True)
    )
    turned = math.radians(abs(angle))
    below = across * math.sin(turned) + 1.3 * sizes[1] * math.cos(turned)
    bottom = round(below) + AXIS_TITLE + (lines - 1) * LINE
    return {"l": round(down) + AXIS_TITLE, "r": BAR if bar else 8, "t": 44, "b": bottom}
