"""Figures of one head's computation for one query: vectors, products, scores and weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from model.measures.head_steps import HeadSteps
from viz.figures.grid import axis_ticks, grid, signed_limits
from viz.figures.theme import Palette, base_figure, escape
from viz.language.messages import say


def vector_heatmap(
    array: np.ndarray, labels: Sequence[str], name: str, palette: Palette, *, highlight: int | None = None
) -> go.Figure:
    """Heat map of queries, keys or values, tokens down, dimensions across, on a scale centred on zero.

    Args:
        array: [token, head_dim]
        labels: of the tokens.
        name: of the texts in the section "inside" of the interface's words, such as "keys".
        palette: colours of the page.
        highlight: a row to draw a box around.
    """
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


def key_bars(
    values: np.ndarray,
    labels: Sequence[str],
    name: str,
    palette: Palette,
    *,
    allowed: np.ndarray | None = None,
    chosen: int | None = None,
    tickformat: str | None = None,
) -> go.Figure:
    """Bar chart of a value for each key; a masked key shows "-∞" instead of a bar.

    Args:
        values: [key]
        labels: of the keys.
        name: of the texts in the section "inside" of the interface's words, such as "scaled".
        palette: colours of the page.
        allowed: bool [key]; None where no key is masked.
        chosen: index of a key whose bar has another colour.
        tickformat: Plotly format of the values.
    """
    figure = base_figure(say(f"inside.{name}_title"), palette, height=300)
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
            **axis_ticks(labels),
        },
        yaxis={"title": say(f"inside.{name}_unit"), "tickformat": tickformat},
    )
    return figure


def product_bars(steps: HeadSteps, key: int, palette: Palette) -> go.Figure:
    """Bar chart of the products of query and key in each dimension, which add up to their dot product.

    Args:
        steps: the computation of one head for one query.
        key: index of the key.
        palette: colours of the page.
    """
    figure = base_figure(say("inside.products_title", dot=f"{steps.dots[key]:.3f}"), palette, height=280)
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
