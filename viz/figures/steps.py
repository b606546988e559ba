"""Figures of one head's computation for one query: vectors, products, scores, weights and the sum of the values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from viz.figures.grid import axis_ticks, grid
from viz.figures.theme import Palette, base_layout, shorten, unvalidated_figure
from viz.figures.worked_head import BOTTOM, TOP, WorkedHead, label_width, resized, row_box
from viz.language.messages import say


def query_and_keys(worked: WorkedHead, palette: Palette) -> go.Figure:
    """Heat map of q directly above K, on one colour scale and in the same columns; the worked-out key has a box."""
    steps = worked.steps
    blank = np.full((1, len(steps.query)), np.nan, np.float32)
    array = np.vstack([steps.query[None], blank, steps.keys[list(worked.shown)]])
    names = [f"q · {shorten(worked.query_name, 10)}", "", *worked.labels]
    figure = _vector_grid(array, names, "vectors", worked.limits, palette, highlight=worked.chosen + 2)
    return resized(figure, len(array), worked.query_marks() + worked.key_marks(2), t=44)


def factor_strip(worked: WorkedHead, palette: Palette) -> go.Figure:
    """Heat map of q above the worked-out row of K, for the products that stand below in the same columns."""
    array = np.stack([worked.steps.query, worked.steps.keys[worked.key]])
    names = [f"{letter} · {shorten(name, 10)}" for letter, name in (("q", worked.query_name), ("k", worked.key_name))]
    figure = _vector_grid(array, names, "factors", worked.limits, palette, bar=False)
    key = worked.key_marks()[0] | {"at": [1], "places": [worked.key]}
    layout = figure._layout["xaxis"] | {"showticklabels": False, "title": {"text": ""}}
    figure = unvalidated_figure(figure._data, figure._layout | {"xaxis": layout})
    return resized(figure, 2, [*worked.query_marks(), key], row=26, t=44, b=4, **_left(worked))


def product_bars(worked: WorkedHead, palette: Palette) -> go.Figure:
    """Bar chart of the products of query and key in each dimension."""
    values = worked.steps.products[worked.key]
    bars = {
        "type": "bar",
        "x": np.arange(len(values)),
        "y": values.astype(np.float32),
        "marker": {"color": [palette.accent if value >= 0 else palette.second for value in values]},
        "hovertemplate": say("inside.product_hover") + "<extra></extra>",
        "showlegend": False,
    }
    return _by_dimension([bars], "products", len(values), 134, palette, worked, ticks=False)


def running_sum(worked: WorkedHead, palette: Palette) -> go.Figure:
    """Line of the sum of the products as it grows, dimension by dimension; its end is the dot product."""
    sums = worked.steps.running_sums(worked.key)
    line = {
        "type": "scatter",
        "x": np.arange(len(sums)),
        "y": sums.astype(np.float32),
        "mode": "lines+markers",
        "line": {"color": palette.text, "width": 2},
        "marker": {"color": palette.text, "size": 4},
        "hovertemplate": say("inside.sum_hover") + "<extra></extra>",
        "showlegend": False,
    }
    end = {
        "type": "scatter",
        "x": [len(sums) - 1],
        "y": [float(sums[-1])],
        "mode": "markers+text",
        "marker": {"color": palette.accent, "size": 10},
        "text": [f"<b>q·k = {sums[-1]:.3f}</b>"],
        "textposition": "top left",
        "textfont": {"size": 14, "color": palette.accent},
        "cliponaxis": False,
        "hoverinfo": "skip",
        "showlegend": False,
    }
    figure = _by_dimension([line, end], "sums", len(sums), 176, palette, worked)
    low, high = min(float(sums.min()), 0.0), max(float(sums.max()), 0.0)
    span = (high - low) or 1.0
    figure._layout["yaxis"]["range"] = [low - 0.08 * span, high + 0.25 * span]
    return figure


def weighted_values(worked: WorkedHead, palette: Palette) -> go.Figure:
    """Heat map of V beside weight × V, and under that the sum of its rows, on one scale and in cells of one size."""
    steps, shown, dims = worked.steps, list(worked.shown), worked.steps.values.shape[1]
    others = [len(worked.hidden)] if worked.hidden else []
    rows = len(shown) + len(others)
    array = np.full((rows + 2, 2 * dims + 1), np.nan, np.float32)
    array[: len(shown), :dims], array[: len(shown), dims + 1 :] = steps.values[shown], steps.weighted[shown]
    if others:
        array[len(shown), dims + 1 :] = steps.weighted[worked.hidden].sum(axis=0)
    array[-1, dims + 1 :] = steps.output
    names = [*worked.labels, *(say("inside.others", count=count) for count in others), "", say("inside.sum")]
    figure = _vector_grid(array, names, "values", worked.value_limits, palette, highlight=worked.chosen)
    ticks = list(range(0, dims, 10))
    numbered = {"tickvals": ticks + [dims + 1 + i for i in ticks], "ticktext": [str(i) for i in ticks * 2]}
    hover = {"ticktext": [str(i) for i in [*range(dims), "", *range(dims)]]}
    notes = [
        {"x": x, "y": 1, "yref": "paper", "yanchor": "bottom", "xanchor": "left", "showarrow": False, "text": text}
        for x, text in ((-0.5, say("inside.values_left")), (dims + 0.5, say("inside.values_right")))
    ]
    layout = figure._layout
    layout = layout | {
        "xaxis": layout["xaxis"] | numbered | {"tickangle": 0},
        "xaxis2": layout["xaxis2"] | hover,
        "annotations": notes,
    }
    return resized(unvalidated_figure(figure._data, layout), rows + 2, worked.key_marks(), t=TOP, b=BOTTOM)


def _vector_grid(
    array: np.ndarray,
    rows: Sequence[str],
    name: str,
    limits: tuple[float, float],
    palette: Palette,
    *,
    highlight: int | None = None,
    bar: bool = True,
) -> go.Figure:
    """Heat map of vectors, tokens down, dimensions across; pointing at a cell draws a line through its column."""
    figure = grid(
        array,
        rows=rows,
        columns=[str(i) for i in range(array.shape[1])],
        title=say(f"inside.{name}_title"),
        row_title="",
        column_title=say("inside.dimension"),
        unit=say("inside.value"),
        hover=say("inside.vector_hover"),
        palette=palette,
        scale=palette.diverging,
        limits=limits,
        highlight=highlight,
        bar=bar,
    )
    spike = {"showspikes": True, "spikemode": "across", "spikethickness": 1, "spikedash": "solid"}
    layout = dict(figure._layout)
    layout["xaxis2"] = layout["xaxis2"] | spike | {"spikecolor": palette.text}
    if highlight is not None:
        layout["shapes"] = [*layout["shapes"][:-1], row_box(highlight, -0.5, array.shape[1] - 0.5, palette)]
    return unvalidated_figure(figure._data, layout)


def _by_dimension(
    traces: list[dict[str, Any]],
    name: str,
    count: int,
    height: int,
    palette: Palette,
    worked: WorkedHead,
    ticks: bool = True,
) -> go.Figure:
    """Figure with a place for each dimension of the head, its left edge that of `factor_strip`; height in pixels."""
    layout = base_layout(say(f"inside.{name}_title"), palette, height + (36 if ticks else 0))
    numbers = axis_ticks([str(i) for i in range(count)])
    axis: dict[str, Any] = {"range": [-0.5, count - 0.5], "showgrid": False, "zeroline": False, "automargin": False}
    axis |= {"title": {"text": say("inside.dimension") if ticks else "", "standoff": 6}, "showticklabels": ticks}
    layout["xaxis"] = layout["xaxis"] | axis | numbers
    unit = {"text": say(f"inside.{name}_unit"), "standoff": 4}
    layout["yaxis"] = layout["yaxis"] | {"title": unit, "automargin": False, "nticks": 5, "zeroline": True}
    layout["margin"] = {"r": 8, "t": 44, "b": 40 if ticks else 6} | _left(worked)
    return unvalidated_figure(traces, layout)


def _left(worked: WorkedHead) -> dict[str, int]:
    """Left and right margin that the figures of the products share."""
    names = [f"q · {shorten(name, 10)}" for name in (worked.query_name, worked.key_name)]
    return {"l": max(label_width(names), 72), "r": 8}
