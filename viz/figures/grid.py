"""An array as a heat map with tokens (or anything else) along its sides: what most pages draw."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from model.maps.pooling import farthest, starts
from viz.figures.margins import halved, lies_flat, margins
from viz.figures.theme import Palette, Scale, colour_bar, escape, frame, framing, made, shorten

MOST_TICKS, FEW_TICKS = 40, 24  # up to so many labels all are written, else so many: each takes half a millisecond
GAPS = 60  # up to so many rows or columns there is a line between the cells
MOST_CELLS = 96 * 96  # what a page sends, and a screen can tell apart


def ticks(labels: Sequence[str], longest: int = 14) -> dict[str, object]:
    """Tick positions and texts of a numeric axis, thinned to what can be read.

    Never a categorical axis: Plotly merges repeated tokens there, silently.
    """
    if numbered(labels):
        step = next(s for s in (1, 2, 5, 10, 20, 50, 100, 200, 500, len(labels)) if len(labels) <= 8 * s)
    else:
        step = thinned(len(labels))
    shown = list(range(0, len(labels), step))
    return {"tickmode": "array", "tickvals": shown, "ticktext": [escape(shorten(labels[i], longest)) for i in shown]}


def thinned(count: int) -> int:
    """Every how many labels one is written."""
    return 1 if count <= MOST_TICKS else -(-count // FEW_TICKS)


def numbered(labels: Sequence[str]) -> bool:
    """Whether the labels just count, so that most of them can be left out."""
    return all(label.isdecimal() for label in labels)


def grid(
    array: np.ndarray,
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    title: str,
    row_title: str,
    column_title: str,
    unit: str,
    hover: str,
    palette: Palette,
    scale: Scale | None = None,
    limits: tuple[float, float] | None = None,
    tickformat: str | None = None,
    highlight: int | None = None,
    row_names: Sequence[str] | None = None,
    column_names: Sequence[str] | None = None,
    bar: bool = True,
    narrow: bool = False,
) -> go.Figure:
    """A heat map, first row on top; NaN cells stay blank.

    An array of more than `MOST_CELLS` is pooled: neighbouring cells are drawn as one that shows the strongest of them.
    `layout.meta` says how many rows and columns are drawn as one, {"pooled": [rows, columns]}.

    Args:
        array: [row, column], or already pooled to `small_shape`; travels as float32.
        rows, columns: a label for each; may repeat.
        hover: Plotly hover template; %{y} and %{x} are the full labels, %{z} the value.
        scale, limits: colours and the values at their ends; None for the sequential scale, 0 to the largest value.
        highlight: a row to draw a box around.
        row_names, column_names: fuller labels for the hover text; the labels themselves where there are none.
        bar: whether the colour bar is drawn; its unit names the numbers in the figure's table either way.
        narrow: for a third of a page, which is too narrow for its column title in one line.

    Raises:
        ValueError: the labels do not fit the array.
    """
    whole = (len(rows), len(columns))
    if array.shape not in (whole, small_shape(whole)):
        raise ValueError(f"array has shape {array.shape}, but there are {len(rows)} rows and {len(columns)} columns")
    low, high = limits or (0.0, float(np.nanmax(array)))
    row_names, column_names = row_names or rows, column_names or columns
    # On a scale that is centred on zero the strongest is the farthest from zero.
    groups = tuple(starts(old, new) for old, new in zip(whole, small_shape(whole), strict=True))
    pooling = tuple(-(-old // max(len(group), 1)) for old, group in zip(whole, groups, strict=True))
    if array.shape == whole:
        array = pooled(array, signed=scale is palette.diverging)
    (rows, row_names), (columns, column_names) = (
        (labels, names) if len(group) == len(labels) else grouped(labels, names, group)
        for labels, names, group in zip((rows, columns), (row_names, column_names), groups, strict=True)
    )
    if highlight is not None:
        highlight = int(np.searchsorted(groups[0], highlight, side="right")) - 1
    cell = min(26, max(560 / max(len(rows), 1), 2))
    layout = framing(title, palette, height=int(max(cell * len(rows), 70)) + 190)
    if pooling != (1, 1):
        layout["meta"] = {"pooled": list(pooling)}
    # The heat map hangs on hidden axes that know every label for the hover text; the visible ones, which cost time to
    # lay out, show a thinned selection.
    heatmap = {
        "type": "heatmap",
        "z": np.asarray(array, dtype=np.float32),
        "xaxis": "x2",
        "yaxis": "y2",
        "zmin": low,
        "zmax": high,
        "colorscale": [list(stop) for stop in scale or palette.sequential],
        "colorbar": colour_bar(unit, tickformat),
        **({} if bar else {"showscale": False}),
        "hoverongaps": False,
        "hovertemplate": hover + "<extra></extra>",
    }
    # Of the visible axes.
    holder = {"type": "scatter", "x": [None], "y": [None], "showlegend": False, "hoverinfo": "skip"}
    small = {"size": 13 if len(columns) <= 20 else 11 if len(columns) <= 30 else 10}
    angle = 0 if numbered(columns) or lies_flat(columns, small["size"]) else -60
    angle = -90 if angle and len(columns) > 24 else angle
    across = [-0.5, len(columns) - 0.5]
    down = [len(rows) - 0.5, -0.5]
    bare = {"showgrid": False, "zeroline": False, "showline": False, "ticks": ""}
    hidden = {"showticklabels": False, "tickmode": "array", "automargin": False, **bare}
    names = {
        "x": [escape(label) for label in column_names],
        "y": [escape(label) for label in row_names],
    }
    tall = {"size": 13 if len(rows) <= 24 else 11}
    around = margins(rows, columns, (tall["size"], small["size"]), angle, bar, lines=2 if narrow else 1)
    layout |= {
        "margin": around,
        "xaxis": layout["xaxis"]
        | {
            "range": across,
            "title": {"text": halved(column_title) if narrow else column_title},
            "tickangle": angle,
            "tickfont": small,
            **ticks(columns),
            **bare,
        },
        "yaxis": layout["yaxis"]
        | {"range": down, "title": {"text": row_title}, "tickfont": tall, **ticks(rows), **bare},
        "xaxis2": {
            "overlaying": "x",
            "matches": "x",
            "range": across,
            "tickvals": list(range(len(columns))),
            "ticktext": names["x"],
            **hidden,
        },
        "yaxis2": {
            "overlaying": "y",
            "matches": "y",
            "range": down,
            "tickvals": list(range(len(rows))),
            "ticktext": names["y"],
            **hidden,
        },
    }
    shapes: list[dict[str, Any]] = []
    if lines := between(len(rows), len(columns)):
        shapes.append({"type": "path", "path": lines, "line": {"color": palette.page, "width": 1}})
    if highlight is not None:
        box = {"x0": -0.5, "x1": len(columns) - 0.5, "y0": highlight - 0.5, "y1": highlight + 0.5}
        shapes.append({"type": "rect", "line": {"color": palette.second, "width": 2}, **box})
    if shapes:  # an empty list is one that Plotly leaves out
        layout["shapes"] = shapes
    return made([heatmap, holder], layout)


def between(rows: int, columns: int) -> str:
    """The lines between cells as a path; none between too many.

    Not Plotly's own gaps: without them it makes a picture with a pixel a cell, and else one with each of the screen's.
    """
    down = [f"M{i - 0.5},-0.5V{rows - 0.5}" for i in range(1, columns)] if columns <= GAPS else []
    across = [f"M-0.5,{i - 0.5}H{columns - 0.5}" for i in range(1, rows)] if rows <= GAPS else []
    return "".join(down + across)


def small_shape(shape: tuple[int, ...]) -> tuple[int, int]:
    """How many rows and columns are drawn of an array: all, or so many that `MOST_CELLS` is kept."""
    rows, columns = shape
    side = math.isqrt(MOST_CELLS)
    fewer = min(rows, max(side, MOST_CELLS // max(columns, 1)))
    return fewer, min(columns, max(side, MOST_CELLS // max(fewer, 1)))


def pooled(array: np.ndarray, *, signed: bool = False) -> np.ndarray:
    """The strongest of each group of neighbouring cells; NaN only where a whole group is NaN.

    Args:
        array: [row, column]; signed: the strongest is the one farthest from zero, not the largest.

    Returns:
        As `small_shape` has it: [fewer rows, fewer columns].
    """
    down, across = (starts(old, new) for old, new in zip(array.shape, small_shape(array.shape), strict=True))
    high = farthest(farthest(array, down, 0), across, 1)
    if signed:
        low = farthest(farthest(array, down, 0, np.fmin), across, 1, np.fmin)
        high = np.where(-low > high, low, high)
    return high


def grouped(labels: Sequence[str], names: Sequence[str], starts: np.ndarray) -> tuple[list[str], list[str]]:
    """What groups are called: on the axis by their first label, in full by their first and last."""
    ends = [*starts[1:], len(labels)]
    full = [
        names[start] if end - start == 1 else f"{shorten(names[start])} … {shorten(names[end - 1])}"
        for start, end in zip(starts, ends, strict=True)
    ]
    return [labels[start] for start in starts], full


def signed_limits(array: np.ndarray) -> tuple[float, float]:
    """Limits of a diverging scale, symmetric around zero."""
    largest = float(np.nanmax(np.abs(array), initial=0.0)) or 1.0
    return -largest, largest


def token_bars(
    values: np.ndarray,
    labels: Sequence[str],
    palette: Palette,
    *,
    title: str,
    hover: str,
    axis: dict[str, object],
    names: Sequence[str] | None = None,
    token_title: str | None = None,
    height: int = 320,
) -> go.Figure:
    """One bar a token; NaN draws none.

    Args:
        values: [token]; labels: of the tokens; names: fuller ones for the hover text, which says them as %{text}.
        axis: Plotly's settings of the value axis; token_title: of the other.
    """
    figure = frame(title, palette, height=height)
    figure.add_bar(
        x=np.arange(len(values)),
        y=values.astype(np.float32),
        marker={"color": palette.accent},
        text=[escape(name) for name in names or labels],
        textposition="none",
        hovertemplate=hover + "<extra></extra>",
        showlegend=False,
    )
    tokens = {"tickangle": -60, "showgrid": False, "zeroline": False, **ticks(labels)}
    figure.update_layout(xaxis=tokens | ({"title": token_title} if token_title else {}), yaxis=axis)
    return figure
