"""Bars of a value for each key of one query: matches, scores, weights, and weights with another divisor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from viz.figures.grid import axis_ticks
from viz.figures.theme import Palette, base_layout, escape, unvalidated_figure
from viz.figures.worked_head import BOTTOM, TOP, WorkedHead, label_width, resized, row_box
from viz.language.messages import say


def key_bars(
    worked: WorkedHead,
    values: np.ndarray,
    title: str,
    palette: Palette,
    *,
    colour: str,
    limits: tuple[float, float],
    masked: bool = False,
    form: str = ".2f",
    labels: bool = True,
    compare: np.ndarray | None = None,
    blank_rows: int = 0,
) -> go.Figure:
    """Horizontal bars of a value for each key, with its number; a masked key shows "-∞" instead of a bar.

    Args:
        values: [key]
        title: of the figure and above its bars.
        limits: least and largest value of all the figures that it is compared with.
        masked: whether the mask is applied to the values. form: Python format of the numbers.
        labels: whether the tokens are written at the rows.
        compare: other values to mark by a line across each bar. [key]
        blank_rows: rows below the keys', for a figure beside one that has more.
    """
    shown = list(worked.shown)
    allowed = worked.steps.allowed[shown] if masked else np.ones(len(shown), bool)
    drawn = np.where(allowed, values[shown], np.nan).astype(np.float32)
    bars = {
        "type": "bar",
        "orientation": "h",
        "x": drawn,
        "y": np.arange(len(shown)),
        "marker": {"color": colour},
        "text": ["" if np.isnan(value) else f"{value:{form}}" for value in drawn],
        "textposition": "outside",
        "constraintext": "none",
        "textfont": {"size": _size(worked)},
        "cliponaxis": False,
        "customdata": [escape(label) for label in worked.labels],
        "hovertemplate": say("inside.bar_hover") + "<extra></extra>",
        "showlegend": False,
    }
    if compare is not None:  # the numbers stand aside, where no line crosses them
        bars |= {"text": None, "textposition": "none"}
    traces = [bars, _forbidden(worked, np.flatnonzero(~allowed), "-∞" if form == ".2f" else f"{0:{form}}", palette)]
    if compare is not None:
        traces += [_numbers(worked, drawn, form, 1.03 * limits[1], palette), _marks(compare[shown], palette)]
    layout = base_layout(title, palette, 0)
    for axis, settings in _bar_axes(worked, title, limits, len(shown) + blank_rows, labels, form).items():
        layout[axis] = layout[axis] | settings
    low, high = layout["xaxis"]["range"]
    layout["shapes"] = [row_box(worked.chosen, low, high, palette)]
    left = label_width(worked.labels) if labels else 8
    figure = unvalidated_figure(traces, layout)
    below = BOTTOM if blank_rows else 10
    return resized(figure, len(shown) + blank_rows, worked.key_marks(), l=left, r=8, t=TOP, b=below)


def _bar_axes(
    worked: WorkedHead, title: str, limits: tuple[float, float], rows: int, labels: bool, form: str
) -> dict[str, Any]:
    """Layout of the axes of `key_bars`, with room for a number at the end of each bar."""
    low, high = min(limits[0], 0.0), max(limits[1], 0.0)
    room = (0.34 if form == ".2f" else 0.5) * (high - low or 1.0)  # "100.0%" and "1.0000" are longer
    across = {
        "title": {"text": title, "standoff": 4, "font": {"size": 13}},
        "side": "top",
        "range": [low - (room if low < 0 else 0), high + room],
        "showticklabels": False,
        "zeroline": True,
    }
    down = {"range": [rows - 0.5, -0.5], "zeroline": False, "showticklabels": labels, **axis_ticks(worked.labels)}
    down["tickfont"] = {"size": _size(worked)}
    plain = {"showgrid": False, "automargin": False}
    return {"xaxis": across | plain, "yaxis": down | plain}


def divisor_bars(worked: WorkedHead, divisors: Sequence[float], chosen: int, own: int, palette: Palette) -> go.Figure:
    """Bars of the weights that another divisor would give, with a line across each at the model's own weight.

    `layout.meta["stops"]` has the weights and the title of every divisor, for the browser while it is dragged.

    Args:
        divisors: that can be chosen; chosen, own: indices of the one that is drawn and of the model's own.
    """
    steps, shown = worked.steps, list(worked.shown)
    titles = [
        say("inside.yours_same") if i == own else say("inside.yours_title", divisor=f"{divisor:.3g}")
        for i, divisor in enumerate(divisors)
    ]
    weights = [steps.weights_at(divisor) for divisor in divisors]
    figure = key_bars(
        worked,
        weights[chosen],
        titles[chosen],
        palette,
        colour=palette.second,
        limits=(0.0, 1.0),
        masked=True,
        form=".1%",
        compare=steps.weights,
    )
    stops = {"weights": [np.round(each[shown], 5).tolist() for each in weights], "titles": titles}
    return unvalidated_figure(figure._data, figure._layout | {"meta": figure._layout["meta"] | {"stops": stops}})


def _size(worked: WorkedHead) -> int:
    """Size of the letters at the rows: smaller where there are many."""
    return 13 if len(worked.shown) <= 16 else 11


def _forbidden(worked: WorkedHead, rows: np.ndarray, text: str, palette: Palette) -> dict[str, Any]:
    """Trace of a text at each row that the mask forbids."""
    return {
        "type": "scatter",
        "x": np.zeros(len(rows)),
        "y": rows,
        "mode": "text",
        "text": [text] * len(rows),
        "textposition": "middle right",
        "textfont": {"color": palette.forbidden, "size": _size(worked)},
        "hoverinfo": "skip",
        "showlegend": False,
    }


def _numbers(worked: WorkedHead, values: np.ndarray, form: str, place: float, palette: Palette) -> dict[str, Any]:
    """Trace of the numbers of the bars, one under the other; its name is for the browser. place: of their left edge"""
    return {
        "type": "scatter",
        "name": "numbers",
        "x": np.full(len(values), place),
        "y": np.arange(len(values)),
        "mode": "text",
        "text": ["" if np.isnan(value) else f"{value:{form}}" for value in values],
        "textposition": "middle right",
        "textfont": {"color": palette.text, "size": _size(worked)},
        "hoverinfo": "skip",
        "showlegend": False,
    }


def _marks(values: np.ndarray, palette: Palette) -> dict[str, Any]:
    """Trace of a short line across each row, at the model's own value."""
    gap, rows = np.full(len(values), np.nan), np.arange(len(values))
    return {
        "type": "scatter",
        "name": "own",
        "x": np.column_stack([values, values, gap]).ravel().astype(np.float32),
        "y": np.column_stack([rows - 0.36, rows + 0.36, gap]).ravel(),
        "mode": "lines",
        "line": {"color": palette.text, "width": 2},
        "hoverinfo": "skip",
        "showlegend": False,
    }
