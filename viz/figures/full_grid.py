"""Heat map that draws every cell of a signed or wide matrix: neighbours are never pooled into one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from viz.figures.grid import BORDERLESS, VISIBLE_AXES, axis_ticks, cell_border_path
from viz.figures.linking import FocusTokens, focus_rows
from viz.figures.margins import margins
from viz.figures.theme import Palette, Scale, base_layout, colour_bar, escape, unvalidated_figure
from viz.language.messages import say

EXACT_CELLS = 10_000  # a matrix of more cells is sent in steps of one percent: a quarter of the bytes
ROOM, MIN_ROW, MAX_ROW = 380, 8, 40  # pixels of all rows in the first screen, and of one of them
OUTLIER = 2.0  # times the cut that the largest value must have before colours are cut


def full_grid(
    values: np.ndarray,
    *,
    rows: Sequence[str],
    title: str,
    titles: tuple[str, str],
    unit: str,
    hover: str,
    palette: Palette,
    scale: Scale,
    limits: tuple[float, float],
    columns: Mapping[str, Any] | None = None,
    bar: Mapping[str, Any] | None = None,
    hover_values: np.ndarray | None = None,
    focus: FocusTokens | None = None,
    column: int | None = None,
    height: int = ROOM,
    min_row: int = MIN_ROW,
) -> go.Figure:
    """Heat map of a matrix, first row on top, with all of its cells.

    Args:
        values: [row, column]
        rows: a label for each; may repeat. titles: of the row axis and of the column axis.
        unit: of the values; hover: Plotly hover template, in which %{y} is a row's label and %{z} its value.
        scale, limits: colours, and the values at their ends.
        columns: Plotly settings of the column axis; None for numbers.
        bar: further settings of the colour bar.
        hover_values: numbers for the hover text, as %{customdata}. [row, column]
        focus: stack and positions of the tokens whose rows these are.
        column: one to draw a box around.
        height: pixels that all rows may take; min_row: that a row takes at least.
    """
    drawn = {"z": np.asarray(values, values.dtype if values.dtype.kind == "i" else np.float32)}
    if hover_values is not None:
        drawn["customdata"] = np.asarray(hover_values, np.float32)
    heatmap = {
        "type": "heatmap",
        **drawn,
        "xaxis": "x2",
        "yaxis": "y2",
        "zmin": limits[0],
        "zmax": limits[1],
        "colorscale": [list(stop) for stop in scale],
        "colorbar": colour_bar(unit) | dict(bar or {}),
        "hoverongaps": False,
        "hovertemplate": hover + "<extra></extra>",
    }
    layout = base_layout(title, palette, 0)
    layout |= _axes(layout, rows, values.shape[1], titles, columns or {}, (height, min_row))
    layout |= _shapes(values.shape, column, palette)
    layout |= {"meta": {"focus": focus_rows(focus)}} if focus else {}
    return unvalidated_figure([heatmap, VISIBLE_AXES], layout)


def _axes(
    layout: Mapping[str, Any],
    rows: Sequence[str],
    width: int,
    titles: tuple[str, str],
    columns: Mapping[str, Any],
    height: tuple[int, int],
) -> dict[str, Any]:
    """Layout of the visible and the hidden axes, of the margins, and of the height that follows from them.

    height: pixels that all rows may take, and that a row takes at least.
    """
    count, margin = len(rows), margins(rows, ["0"], (13, 11), 0, True)
    across, down = [-0.5, width - 0.5], [count - 0.5, -0.5]
    names = {"tickmode": "array", "tickvals": list(range(count)), "ticktext": [escape(row) for row in rows]}
    hidden = {"showticklabels": False, "automargin": False, **BORDERLESS}
    return {
        "margin": margin,
        "height": round(min(max(height[0], height[1] * count), MAX_ROW * count)) + margin["t"] + margin["b"],
        "xaxis": layout["xaxis"] | {"range": across, "title": {"text": titles[1]}} | dict(columns) | BORDERLESS,
        "yaxis": layout["yaxis"] | {"range": down, "title": {"text": titles[0]}} | axis_ticks(rows) | BORDERLESS,
        "xaxis2": {"overlaying": "x", "matches": "x", "range": across, **hidden},
        "yaxis2": {"overlaying": "y", "matches": "y", "range": down, **names, **hidden},
    }


def _shapes(shape: tuple[int, ...], column: int | None, palette: Palette) -> dict[str, Any]:
    """Layout of the borders between cells and of the box around a column; none where there is neither."""
    shapes: list[dict[str, Any]] = []
    if borders := cell_border_path(*shape):
        shapes.append({"type": "path", "path": borders, "line": {"color": palette.page, "width": 1}})
    if column is not None:
        box = {"x0": column - 0.5, "x1": column + 0.5, "y0": -0.5, "y1": shape[0] - 0.5}
        shapes.append({"type": "rect", "line": {"color": palette.text, "width": 2}, **box})
    return {"shapes": shapes} if shapes else {}  # Plotly drops an empty list


def signed_grid(
    values: np.ndarray,
    palette: Palette,
    *,
    rows: Sequence[str],
    title: str,
    titles: tuple[str, str],
    unit: str,
    place: str,
    limit: float,
    focus: FocusTokens | None = None,
    height: int = ROOM,
    min_row: int = MIN_ROW,
) -> go.Figure:
    """Heat map of signed values with all of its cells, on a scale centred on zero.

    Args:
        values: [row, column]
        place: the hover text before the value, a Plotly template.
        limit: the magnitude at the ends of the scale, as `colour_limit` gives it.
        rows, title, titles, unit, focus, height, min_row: as for `full_grid`.
    """
    cells, in_percent = signed_cells(values, limit)
    end = 100.0 if in_percent else limit
    if in_percent:
        unit = say("layers.percent_of", unit=unit, limit=f"{limit:.3g}")
    return full_grid(
        cells,
        rows=rows,
        title=title,
        titles=titles,
        unit=unit,
        hover=f"{place}: " + (f"%{{z}}% · {limit:.3g}" if in_percent else "%{z:.3f}"),
        palette=palette,
        scale=palette.diverging,
        limits=(-end, end),
        bar={"ticksuffix": "%"} if in_percent else None,
        focus=focus,
        height=height,
        min_row=min_row,
    )


def signed_cells(values: np.ndarray, limit: float) -> tuple[np.ndarray, bool]:
    """Values as they are sent, and whether in percent of `limit`: as int8 or int16 where there are many.

    What is far beyond the limit stays at the end of int16's range.
    """
    if values.size <= EXACT_CELLS:
        return values.astype(np.float32), False
    percent = np.round(100.0 * values / limit)
    small = np.abs(percent).max(initial=0) <= np.iinfo(np.int8).max
    kind = np.int8 if small else np.int16
    return percent.clip(np.iinfo(kind).min, np.iinfo(kind).max).astype(kind), True


def colour_limit(values: np.ndarray) -> float:
    """The magnitude at the ends of a colour scale centred on zero: the largest, or a cut below outliers.

    It is cut at the 99.5th percentile of the magnitudes where the largest is more than `OUTLIER` times that.
    """
    magnitude = np.abs(values)
    largest, cut = float(magnitude.max(initial=0.0)), float(np.quantile(magnitude, 0.995)) if values.size else 0.0
    return (cut if 0 < cut < largest / OUTLIER else largest) or 1.0


def cut_reading(values: np.ndarray, limit: float) -> str:
    """Sentence on the values that are stronger than colours up to a limit show; empty where none is."""
    magnitude = np.abs(values)
    stronger = int((magnitude > limit).sum())
    if not stronger:
        return ""
    texts = [f"{number:,.0f}" if number >= 100 else f"{number:.3g}" for number in (limit, float(magnitude.max()))]
    return say("layers.cut", limit=texts[0], count=stronger, largest=texts[1])
