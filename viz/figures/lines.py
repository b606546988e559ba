"""Line diagram of one attention head: queries on the left, keys on the right, a line for each strong weight."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from model.trace.attention import Attention
from viz.figures.figure_parts import parts
from viz.figures.grid import label_step
from viz.figures.heads import Window, visible_positions
from viz.figures.linking import query_stack, shows
from viz.figures.theme import Palette, base_layout, escape, shorten, unvalidated_figure
from viz.language.messages import say

MIN_WEIGHT, MAX_LINES = 0.02, 150  # weights below draw no line; of more lines only those of the largest weights
LEFT, LEFT_LETTERS = -0.6, 108  # beside a map: where labels begin; how many letters have room, times their size
WEIGHT_STEP = 0.14  # weights of one step share a trace


def token_lines(
    attention: Attention,
    layer: int,
    head: int,
    palette: Palette,
    *,
    specials: bool = True,
    row: int | None = None,
    window: Window | None = None,
    beside: go.Figure | None = None,
) -> go.Figure:
    """Line diagram of one head's attention weights, from queries on the left to keys on the right.

    Width and opacity grow with the weight. Weights under `MIN_WEIGHT` draw no line, and at most `MAX_LINES` are drawn.

    Args:
        attention: one kind of attention of a trace.
        layer, head: which head, counted from 0.
        palette: colours of the page.
        specials: False leaves out special tokens.
        row: position of a query whose lines are highlighted; all others are dimmed.
        window: positions of the queries and keys to draw; None for all.
        beside: the heat map of the same head, whose rows the lines then share; its labels are those of the queries.

    Raises:
        IndexError: there is no such layer.
    """
    queries, keys = visible_positions(attention, specials, window)
    query_indices, key_indices, weights = attention.strongest(layer, head, queries, keys, MAX_LINES)
    span = max(len(queries), len(keys), 1)
    if beside is not None:
        span = min(len(queries), len(parts(beside).data[0].z)) or 1
    query_heights, key_heights = _heights(len(queries), span), _heights(len(keys), span)
    ends = np.stack([query_heights[query_indices], key_heights[key_indices]], 1)
    highlighted = None if row is None else np.array([i == row for i in queries], bool)[query_indices]
    traces = _line_traces(ends, weights, highlighted, palette)
    height = int(min(max(span * 26, 140), 900)) if beside is None else _rows_height(beside)
    traces += _label_traces(attention, (queries, keys), (query_heights, key_heights), (span, height), row, palette)
    shown: dict[str, Any] = shows("lines", attention, layer=layer, head=head, queries=queries, keys=keys, span=span)
    named = ((attention.query_tokens, queries), (attention.key_tokens, keys))
    shown["labels"] = [[tokens[position] for position in places] for tokens, places in named]  # no axis has them
    title = say("heads.lines_title", layer=attention.layer_index[layer], head=head)
    if beside is not None:
        layout = _beside_layout(title, palette, span, beside)
        layout["meta"] = shown
        if len(queries) == len(parts(beside).data[0].z):
            focus = _focus(query_stack(attention.kind), queries, row, query_heights, key_heights, span)
            layout["meta"] |= {"focus": focus, "lines": {"head": f"{layer}.{head}", "queries": len(queries)}}
        return unvalidated_figure([{**trace, "hoverinfo": "skip", "showlegend": False} for trace in traces], layout)
    layout = base_layout(title, palette, height=height + 110)
    layout |= {
        "xaxis": {"visible": False, "range": [-0.62, 1.62], "fixedrange": True},
        "yaxis": {"visible": False, "range": [span + 0.3, -0.1 * span], "fixedrange": True},
        "meta": shown,
    }
    return unvalidated_figure([{**trace, "hoverinfo": "skip", "showlegend": False} for trace in traces], layout)


def _focus(
    stack: str, queries: Sequence[int], row: int | None, left: np.ndarray, right: np.ndarray, span: int
) -> list[dict[str, Any]]:
    """Where the queries stand, for `layout.meta["focus"]`: at their labels, and along their lines.

    Args:
        stack, queries: of the tokens on the left; row: the query whose lines are highlighted.
        left, right: heights of the queries and of the keys; span: of the figure.
    """
    tokens: dict[str, Any] = {"stack": stack, "places": queries}
    at, half = left.tolist(), span / max(len(queries), 1) / 2
    labels = {"axis": "y", "at": at, "half": half, "span": [LEFT, -0.01], **tokens}
    drawn = {"axis": "lines", "row": queries.index(row) if row in queries else -1, **tokens}
    return [labels, drawn | {"left": at, "right": right.tolist()}]


def _beside_layout(title: str, palette: Palette, span: int, beside: go.Figure) -> dict[str, Any]:
    """Layout with the rows of a heat map: its height, its margins above and below, and its range of rows."""
    drawn = parts(beside).layout
    return base_layout(title, palette, height=int(drawn.height)) | {
        "margin": {"l": 8, "r": 8, "t": drawn.margin.t, "b": drawn.margin.b},
        "xaxis": {"visible": False, "range": [LEFT, 1.6], "fixedrange": True},
        "yaxis": {"visible": False, "range": [span, 0], "fixedrange": True},
    }


def _rows_height(beside: go.Figure) -> int:
    """Pixels of all rows of a heat map."""
    drawn = parts(beside).layout
    return int(drawn.height - drawn.margin.t - drawn.margin.b)


def _heights(count: int, span: int) -> np.ndarray:
    """Vertical coordinates of `count` tokens spread evenly over 0 to `span`."""
    return (np.arange(count) + 0.5) * span / max(count, 1)


def _line_traces(
    ends: np.ndarray, weights: np.ndarray, highlighted: np.ndarray | None, palette: Palette
) -> list[dict[str, Any]]:
    """Traces of the lines, one for each step of weight and highlight, because one for each line is slow to draw.

    ends: heights of query and key, [line, 2]; weights: [line]; highlighted: bool [line], None where no row is selected.
    """
    is_highlighted = np.zeros(len(weights), bool) if highlighted is None else highlighted
    traces = []
    lows = np.arange(MIN_WEIGHT, 1.0, WEIGHT_STEP)
    for low, high in zip(lows, [*lows[1:], np.inf], strict=True):
        in_step = (weights >= low) & (weights < high)
        for highlight, colour in ((False, palette.accent), (True, palette.second)):
            lines = ends[in_step & (is_highlighted == highlight)]
            if not len(lines):
                continue
            gap = np.full(len(lines), np.nan)  # ends a line within a trace
            dimming = 0.25 if highlighted is not None and not highlight else 1.0
            x = np.stack([np.zeros(len(lines)), np.ones(len(lines)), gap], 1)
            traces.append(
                {
                    "type": "scatter",
                    "x": x.ravel().astype(np.float32),
                    "y": np.column_stack([lines, gap]).ravel().astype(np.float32),
                    "mode": "lines",
                    "line": {"color": colour, "width": 1 + 6 * float(low)},
                    "opacity": dimming * min(1.0, 0.15 + float(low)),
                }
            )
    return traces


def _label_traces(
    attention: Attention,
    positions: tuple[list[int], list[int]],
    heights: tuple[np.ndarray, np.ndarray],
    size: tuple[int, int],
    row: int | None,
    palette: Palette,
) -> list[dict[str, Any]]:
    """Traces of the column titles, of the token labels, and of the label of the selected row.

    positions, heights: of queries and of keys; size: of the figure, in rows and in pixels.
    """
    span, pixels = size
    # Annotations would do, but Plotly compares each of them with all others, which takes seconds.
    titles = [(-0.06 * span, say(f"heads.{name}_short"), side) for name, side in (("asks", "left"), ("asked", "right"))]
    selected, others = [], []
    least = min(pixels / max(len(one), 1) for one in positions)  # pixels from a label to the next
    font = 13 if least >= 16 else 11 if least >= 12 else 9
    for side, tokens, side_positions, side_heights in zip(
        ("left", "right"), (attention.query_tokens, attention.key_tokens), positions, heights, strict=True
    ):
        # As many as are read beside each other: with few rows, the keys stand closer than the map's columns.
        step = max(label_step(len(side_positions)), math.ceil((font + 1) * len(side_positions) / pixels))
        for height, position in zip(side_heights[::step], side_positions[::step], strict=True):
            longest = min(LEFT_LETTERS // font, 12) if side == "left" else 12
            text = escape(shorten(tokens[position], longest))
            if side == "left" and position == row:
                selected.append((height, f"<b>{text}</b>", side))
            else:
                others.append((height, text, side))
    return [
        {
            "type": "scatter",
            "x": [-0.02 if side == "left" else 1.02 for _, _, side in labels],
            "y": np.array([height for height, _, _ in labels], np.float32),
            "text": [text for _, text, _ in labels],
            "mode": "text",
            "textposition": [f"middle {side}" for _, _, side in labels],
            "textfont": {"size": font_size, "color": colour},
        }
        for labels, font_size, colour in (
            (titles, 12, palette.forbidden),
            (others, font, palette.text),
            (selected, font, palette.second),
        )
    ]
