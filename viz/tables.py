"""The numbers behind the figures, as pandas DataFrames."""

from __future__ import annotations

import html

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from model.trace import Attention
from viz.text import say


def row_table(attention: Attention, layer: int, head: int, row: int) -> pd.DataFrame:
    """One query's keys with score and weight, strongest first."""
    columns: dict[str, object] = {
        say("table.position"): range(len(attention.keys)),
        say("table.token"): attention.key_tokens,
    }
    if attention.has_vectors:
        columns[say("table.score")] = attention.scores(layer)[head, row]
    weight = say("table.weight")
    columns[weight] = attention.weights(layer)[head, row]
    return pd.DataFrame(columns).sort_values(weight, ascending=False, kind="stable", ignore_index=True)


def figure_table(figure: go.Figure) -> pd.DataFrame:
    """The numbers a figure draws: its first heat map as rows and columns, or else every point by its curve.

    Columns are numbered, because tokens repeat: "0 the", "1 cat".
    """
    for trace in figure.data:
        if trace.type == "heatmap":
            values = np.asarray(trace.z, dtype=np.float32)
            rows = _labels(figure, trace.yaxis or "y", values.shape[0])
            columns = _labels(figure, trace.xaxis or "x", values.shape[1])
            table = pd.DataFrame(values, columns=[f"{i} {name}" for i, name in enumerate(columns)])
            table.insert(0, say("audience.row"), [f"{i} {name}" for i, name in enumerate(rows)])
            return table
    points = []
    for trace in figure.data:
        across, down = (np.atleast_1d([] if side is None else side) for side in (trace.x, trace.y))
        texts = trace.text if isinstance(trace.text, (tuple, list, np.ndarray)) else [trace.text or ""] * len(down)
        points += [
            {
                say("audience.curve"): trace.name or "",
                figure.layout.xaxis.title.text or "x": x,
                figure.layout.yaxis.title.text or "y": y,
                say("audience.text"): html.unescape(str(text).replace("<br>", ", ")),
            }
            for x, y, text in zip(across, down, texts, strict=False)
            if x is not None and y is not None
        ]
    table = pd.DataFrame(points)
    return table.loc[:, [not (table[name] == "").all() for name in table.columns]]


def _labels(figure: go.Figure, axis: str, count: int) -> list[str]:
    """The labels along a side of a heat map; empty where it only counts."""
    ticks = figure.layout[axis[0] + "axis" + axis[1:]]
    named = dict(zip(ticks.tickvals or (), ticks.ticktext or (), strict=False))
    return [html.unescape(str(named.get(i, ""))) for i in range(count)]
