"""Values of Plotly figures as matplotlib takes them: label texts, colours, number formats, one value for each point."""

from __future__ import annotations

import html
import re
from typing import Any

import numpy as np
from matplotlib.colors import to_rgba
from matplotlib.ticker import PercentFormatter

from viz.saving import fonts

POINTS = 0.75  # in a pixel


def plain_text(text: object) -> str:
    """Text of a Plotly label without tags and entities, with line breaks; missing letters become code points."""
    lines = ("" if text is None else str(text)).replace("<br>", "\n")
    return fonts.replace_missing_letters(html.unescape(re.sub(r"</?[a-z]+>", "", lines)), most=2)


def css_to_rgba(text: object) -> tuple[float, float, float, float]:
    """Red, green, blue and opacity of a CSS colour, each from 0 to 1.

    Raises:
        ValueError: the text is no colour.
    """
    numbers = re.fullmatch(r"rgba?\(([^)]*)\)", str(text))
    if not numbers:
        return to_rgba(str(text))
    red, green, blue, *rest = (float(part) for part in numbers[1].split(","))
    return red / 255, green / 255, blue / 255, rest[0] if rest else 1.0


def percent_format(form: str) -> PercentFormatter:
    """Formatter of a Plotly format such as ".1%"."""
    return PercentFormatter(1, decimals=int(form.strip(".%") or 0))


def broadcast(value: Any, count: int) -> list[Any]:
    """A value for each of `count` points, from a sequence or from one value for all of them."""
    return list(value) if isinstance(value, (list, tuple, np.ndarray)) else [value] * count


def to_floats(values: Any) -> np.ndarray:
    """Values as float64; None becomes NaN."""
    return np.array([np.nan if value is None else value for value in values], np.float64)
