"""Inside a head: one small figure for each step of the formula."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from model.measures.head_steps import HeadSteps
from viz.figures.grid import grid, signed_limits, ticks
from viz.figures.theme import Palette, escape, frame
from viz.language.messages import say


def vectors(
    array: np.ndarray, labels: Sequence[str], name: str, palette: Palette, *, highlight: int | None = None
) -> go.Figure:
    """A row of numbers for each token: query, keys or values. [token, head_dim]"""
    return grid(
        array,
        rows=labels,
        columns=[str(i) for i in range(array.shape[1])],
        title=say(f"inside.{name}_title"),
        row_title=say("inside.token"),
        column_title=say("inside.dimension"),
        unit=say("inside.value"),
        hover=say("inside.vector_hover"),
        palette=palette,
        scale=palette.diverging,
        limits=signed_limits(array),
        highlight=highlight,
    )


def bars(
    values: np.ndarray,
    labels: Sequence[str],
    name: str,
    palette: Palette,
    *,
    allowed: np.ndarray | None = None,
    chosen: int | None = None,
    tickformat: str | None = None,
) -> go.Figure:
    """One number for each key; a forbidden key shows "-∞" instead of a bar. [key]"""
    figure = frame(say(f"inside.{name}_title"), palette, height=300)
    allowed = np.ones(len(values), bool) if allowed is None else allowed
    figure.add_bar(
        x=np.arange(len(values)),
        y=np.where(allowed, values, np.nan).astype(np.float32),
        marker={"color": [palette.second if i == chosen else palette.accent for i in range(len(values))]},
        text=[escape(label) for label in labels],
        textposition="none",
        hovertemplate=say("inside.bar_hover") + "<extra></extra>",
        showlegend=False,
    )
    forbidden = np.flatnonzero(~allowed)
    figure.add_scatter(
        x=forbidden,
        y=np.zeros(len(forbidden)),
        mode="text",
        text=["-∞"] * len(forbidden),
        textfont={"color": palette.forbidden},
        hoverinfo="skip",
        showlegend=False,
    )
    figure.update_layout(
        xaxis={
            "title": say("inside.key"),
            "tickangle": -60,
            "range": [-0.6, len(values) - 0.4],
            "showgrid": False,
            "zeroline": False,
            **ticks(labels),
        },
        yaxis={"title": say(f"inside.{name}_unit"), "tickformat": tickformat},
    )
    return figure


def products(steps: HeadSteps, key: int, palette: Palette) -> go.Figure:
    """q times k, dimension by dimension, for one key; the bars add up to q·k."""
    figure = frame(say("inside.products_title", dot=f"{steps.dots[key]:.3f}"), palette, height=280)
    values = steps.products[key]
    figure.add_bar(
        x=np.arange(len(values)),
        y=values.astype(np.float32),
        marker={"color": [palette.accent if value >= 0 else palette.second for value in values]},
        hovertemplate=say("inside.product_hover") + "<extra></extra>",
        showlegend=False,
    )
    figure.update_layout(
        xaxis={"title": say("inside.dimension"), "showgrid": False, "zeroline": False},
        yaxis={"title": say("inside.products_unit")},
    )
    return figure
