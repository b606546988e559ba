"""Heat map of a matrix with labelled rows and columns, and bar chart of a value for each token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from viz.figures.cell_pooling import group_labels, max_pooled, pooled_shape, pooling_starts
from viz.figures.linking import FocusTokens, focus_rows
from viz.figures.margins import LINE, fit_horizontally, margins, width
from viz.figures.theme import (
    Palette,
    Scale,
    base_figure,
    base_layout,
    colour_bar,
    escape,
    shorten,
    two_line_title,
    unvalidated_figure,
)

MAX_TICKS, THINNED_TICKS = 40, 24  # more labels than the first are thinned to the second: each takes 0.5 ms to draw
MAX_BORDERED = 60  # rows or columns; of more the cells have no borders
SCREEN_HEIGHT, MIN_ROW, MAX_ROW = 464, 9, 44  # pixels of a figure in the first screen, and of one of its rows
BORDERLESS = {"showgrid": False, "zeroline": False, "showline": False, "ticks": ""}
# The heat map hangs on hidden axes that have every label for the hover text. The visible axes, which show a thinned
# selection because labels take time to draw, need a trace of their own.
VISIBLE_AXES = {"type": "scatter", "x": [None], "y": [None], "showlegend": False, "hoverinfo": "skip"}


@dataclass(frozen=True)
class _Side:
    """One side of a heat map: its axis title, its labels, and their longer names for the hover text."""

    title: str
    labels: Sequence[str]
    names: Sequence[str]

    @property
    def ends(self) -> list[float]:
        """Coordinates of the outer edges of the first and last cell."""
        return [-0.5, len(self.labels) - 0.5]


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
    fit: bool = False,
    focus: FocusTokens | None = None,
) -> go.Figure:
    """Heat map of a matrix, first row on top; NaN cells are blank, and more than `MAX_CELLS` cells are max-pooled.

    Args:
        array: [row, column], or already pooled to `pooled_shape`; sent as float32.
        rows, columns: a label for each; may repeat.
        hover: Plotly hover template; %{y} and %{x} are the names, %{z} the value.
        scale, limits: colours and the values at their ends; None for the sequential scale, 0 to the largest value.
        highlight: a row to draw a box around.
        row_names, column_names: longer labels for the hover text; None for the labels themselves.
        bar: whether to draw the colour bar; `unit` names the values in the figure's table either way.
        narrow: for a third of a page: the column title takes two lines.
        fit: as tall as the first screen of a page has room for, as long as rows stay readable.
        focus: the stack and positions of the tokens whose rows these are; the browser marks the one in focus.

    Returns:
        A figure whose `layout.meta` has the cells of a pooled group, {"pooled": [rows, columns]}, where it is pooled.

    Raises:
        ValueError: the labels do not fit the array.
    """
    shape = (len(rows), len(columns))
    if array.shape not in (shape, pooled_shape(shape)):
        raise ValueError(f"array has shape {array.shape}, but there are {len(rows)} rows and {len(columns)} columns")
    limits = limits or (0.0, float(np.nanmax(array)))
    if array.shape == shape:
        array = max_pooled(array, signed=scale is palette.diverging)
    row_starts, column_starts = pooling_starts(shape)
    down = _Side(row_title, *group_labels(rows, row_names or rows, row_starts))
    across = _Side(column_title, *group_labels(columns, column_names or columns, column_starts))
    row = None if highlight is None else int(np.searchsorted(row_starts, highlight, side="right")) - 1
    trace = _heatmap_trace(array, scale or palette.sequential, limits, colour_bar(unit, tickformat), hover)
    layout = base_layout(title, palette, height=0)
    layout |= _axes(layout, down, across, bar=bar, narrow=narrow) | _shapes(down, across, row, palette)
    layout["height"] = _height(len(down.labels), layout["margin"] if fit else None)
    _break_row_title(layout, row_title)
    group = [-(-length // max(len(one), 1)) for length, one in zip(shape, (row_starts, column_starts), strict=True)]
    layout |= _meta(group, focus, None if row is None else len(layout["shapes"]) - 1)
    return unvalidated_figure([trace if bar else trace | {"showscale": False}, VISIBLE_AXES], layout)


def _break_row_title(layout: dict[str, Any], title: str) -> None:
    """Two lines for the rows' title where one is longer than the map is high, with room beside the labels."""
    margin = layout["margin"]
    room = layout["height"] - margin["t"] - margin["b"] + 16  # it may reach a little beyond the map
    if width(title, layout["font"]["size"] + 1) > room:
        layout["yaxis"] = layout["yaxis"] | {"title": {"text": two_line_title(title)}}
        layout["margin"] = margin | {"l": margin["l"] + LINE}


def _meta(group: list[int], focus: FocusTokens | None, row_shape: int | None) -> dict[str, Any]:
    """What page and browser read: cells of a pooled group, tokens of the rows, and which shape is the row's box."""
    meta: dict[str, Any] = {"pooled": group} if group != [1, 1] else {}
    if focus is not None and group[0] == 1:
        meta |= {"focus": focus_rows(focus)} | ({} if row_shape is None else {"row_shape": row_shape})
    return {"meta": meta} if meta else {}


def _height(rows: int, margin: dict[str, int] | None = None) -> int:
    """Pixels of a figure with so many rows; with `margin`, as tall as the first screen has room for."""
    if margin is None:
        return int(max(min(26, max(560 / max(rows, 1), 2)) * rows, 70)) + 190
    around = margin["t"] + margin["b"]
    return round(min(max(SCREEN_HEIGHT - around, MIN_ROW * rows), MAX_ROW * rows)) + around


def _heatmap_trace(
    array: np.ndarray, scale: Scale, limits: tuple[float, float], bar: dict[str, object], hover: str
) -> dict[str, Any]:
    """Trace of the cells, on the hidden axes."""
    return {
        "type": "heatmap",
        "z": np.asarray(array, dtype=np.float32),
        "xaxis": "x2",
        "yaxis": "y2",
        "zmin": limits[0],
        "zmax": limits[1],
        "colorscale": [list(stop) for stop in scale],
        "colorbar": bar,
        "hoverongaps": False,
        "hovertemplate": hover + "<extra></extra>",
    }


def _axes(layout: dict[str, Any], down: _Side, across: _Side, *, bar: bool, narrow: bool) -> dict[str, Any]:
    """Layout of the visible and the hidden axes, and the margins that their labels need."""
    rows, columns = len(down.labels), len(across.labels)
    row_size, column_size = 13 if rows <= 24 else 11, 13 if columns <= 20 else 11 if columns <= 30 else 10
    flat = all_numeric(across.labels) or fit_horizontally(across.labels, column_size)
    angle = 0 if flat else -90 if columns > 24 else -60
    visible_x = {
        "range": across.ends,
        "title": {"text": two_line_title(across.title) if narrow else across.title},
        "tickangle": angle,
        "tickfont": {"size": column_size},
    }
    visible_y = {"range": down.ends[::-1], "title": {"text": down.title}, "tickfont": {"size": row_size}}
    visible_y["automargin"] = "left"  # the first row's label may reach a little above the map
    lines = 2 if narrow else 1
    return {
        "margin": margins(down.labels, across.labels, (row_size, column_size), angle, bar, lines=lines),
        "xaxis": layout["xaxis"] | visible_x | axis_ticks(across.labels) | BORDERLESS,
        "yaxis": layout["yaxis"] | visible_y | axis_ticks(down.labels) | BORDERLESS,
        "xaxis2": {"overlaying": "x", "matches": "x", "range": across.ends, **_hover_ticks(across.names)},
        "yaxis2": {"overlaying": "y", "matches": "y", "range": down.ends[::-1], **_hover_ticks(down.names)},
    }


def _hover_ticks(names: Sequence[str]) -> dict[str, object]:
    """Settings of a hidden axis, whose ticks are only read by the hover text."""
    ticks = {"tickmode": "array", "tickvals": list(range(len(names))), "ticktext": [escape(name) for name in names]}
    return {"showticklabels": False, "automargin": False, **ticks, **BORDERLESS}


def _shapes(down: _Side, across: _Side, highlight: int | None, palette: Palette) -> dict[str, Any]:
    """Layout of the borders between cells and of the box around a row; none where there is neither."""
    shapes: list[dict[str, Any]] = []
    if borders := cell_border_path(len(down.labels), len(across.labels)):
        shapes.append({"type": "path", "path": borders, "line": {"color": palette.page, "width": 1}})
    if highlight is not None:
        left, right = across.ends
        box = {"x0": left, "x1": right, "y0": highlight - 0.5, "y1": highlight + 0.5}
        shapes.append({"type": "rect", "line": {"color": palette.second, "width": 2}, **box})
    return {"shapes": shapes} if shapes else {}  # Plotly drops an empty list


def cell_border_path(rows: int, columns: int) -> str:
    """SVG path of the borders between cells; empty across a side of more than `MAX_BORDERED`.

    Not Plotly's own gaps: with them it rasterizes every screen pixel of the map, without them one pixel a cell.
    """
    down = [f"M{i - 0.5},-0.5V{rows - 0.5}" for i in range(1, columns)] if columns <= MAX_BORDERED else []
    across = [f"M-0.5,{i - 0.5}H{columns - 0.5}" for i in range(1, rows)] if rows <= MAX_BORDERED else []
    return "".join(down + across)


def signed_limits(array: np.ndarray) -> tuple[float, float]:
    """Limits of a diverging scale: minus and plus the largest magnitude, or 1 where all values are 0 or NaN."""
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
    """Bar chart of one value for each token; NaN draws no bar.

    Args:
        values: [token]
        labels: of the tokens; names: longer ones for the hover text, as %{text}; None for the labels themselves.
        palette: colours of the page.
        title, hover: of the figure; Plotly hover template.
        axis: Plotly settings of the value axis.
        token_title: title of the token axis.
        height: pixels.
    """
    figure = base_figure(title, palette, height=height)
    figure.add_bar(
        x=np.arange(len(values)),
        y=values.astype(np.float32),
        marker={"color": palette.accent},
        text=[escape(name) for name in names or labels],
        textposition="none",
        hovertemplate=hover + "<extra></extra>",
        showlegend=False,
    )
    tokens = {"tickangle": -60, "showgrid": False, "zeroline": False, **axis_ticks(labels)}
    figure.update_layout(xaxis=tokens | ({"title": token_title} if token_title else {}), yaxis=axis)
    return figure


def axis_ticks(labels: Sequence[str], longest: int = 14) -> dict[str, object]:
    """Tick settings of a numeric axis with a label at each integer, thinned to what can be read.

    Never a categorical axis: Plotly silently merges repeated tokens there.
    """
    if all_numeric(labels):
        step = next(s for s in (1, 2, 5, 10, 20, 50, 100, 200, 500, len(labels)) if len(labels) <= 8 * s)
    else:
        step = label_step(len(labels))
    ticks = list(range(0, len(labels), step))
    return {"tickmode": "array", "tickvals": ticks, "ticktext": [escape(shorten(labels[i], longest)) for i in ticks]}


def label_step(count: int) -> int:
    """Distance between labels that are written, out of `count`: 1 for all, 2 for every second."""
    return 1 if count <= MAX_TICKS else -(-count // THINNED_TICKS)


def all_numeric(labels: Sequence[str]) -> bool:
    """Whether all labels are numbers, so that most can be left out."""
    return all(label.isdecimal() for label in labels)
