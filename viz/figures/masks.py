"""Heat maps of an attention mask and of the scores before and after it."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from model.trace.attention import Attention
from viz.figures.bar_below import with_bar_below
from viz.figures.grid import grid, signed_limits
from viz.figures.linking import query_stack
from viz.figures.theme import Palette, escape
from viz.language.messages import say

MAX_CLICKABLE_CELLS = 2500  # of more cells each is too small to click, and drawing them is slow
MAX_CROSSES = 2000  # forbidden cells that are marked


def mask_heatmap(
    attention: Attention, layer: int, palette: Palette, title: str, *, clickable: bool = False, linked: bool = True
) -> go.Figure:
    """Heat map of a layer's mask: coloured where a query may attend, blank and marked where it may not.

    Args:
        attention: one kind of attention of a trace.
        layer: which layer, counted from 0.
        palette: colours of the page.
        title: of the figure.
        clickable: a click on a cell reports [query, key, 1 if allowed, 1 if it is the only allowed one of its row] as
            customdata, in masks of up to `MAX_CLICKABLE_CELLS`.
        linked: the browser marks the row of the token in focus; False for a run that is not the page's.

    Raises:
        IndexError: there is no such layer.
    """
    allowed = attention.mask(layer)
    figure = grid(
        np.where(allowed, 1.0, np.nan),
        rows=attention.query_tokens,
        columns=attention.key_tokens,
        title=title,
        row_title=say(f"kinds.{attention.kind}_asks"),
        column_title=say(f"kinds.{attention.kind}_asked"),
        unit="",
        bar=False,
        narrow=True,
        fit=True,
        hover=say("masks.allowed_hover"),
        palette=palette,
        scale=((0, palette.second), (1, palette.second)),
        limits=(0, 1),
        focus=(query_stack(attention.kind), range(len(attention.queries))) if linked else None,
    )
    clickable = clickable and allowed.size <= MAX_CLICKABLE_CELLS
    forbidden_q, forbidden_k = np.nonzero(~allowed)
    if 0 < len(forbidden_q) <= MAX_CROSSES and "pooled" not in (figure.layout.meta or {}):  # it has other coordinates
        figure.add_scatter(
            x=forbidden_k.astype(np.float32),
            y=forbidden_q.astype(np.float32),
            mode="markers",
            marker={"symbol": "x-thin", "size": 9, "line": {"color": palette.forbidden, "width": 2}},
            xaxis="x2",
            yaxis="y2",
            # Where cells are clicked, only the markers of `_add_cells` may take the click.
            **({"hoverinfo": "skip"} if clickable else {"hovertemplate": say("masks.forbidden_hover")}),
            name="",
            showlegend=False,
        )
    if clickable:
        figure.data[0].hoverinfo, figure.data[0].hovertemplate = "skip", None
        _add_cells(figure, attention, allowed)
    return figure


def _add_cells(figure: go.Figure, attention: Attention, allowed: np.ndarray) -> None:
    """Add an invisible marker over every cell, which reports clicks: Plotly reports none on heat maps."""
    q, k = np.indices(allowed.shape).reshape(2, -1)
    only = allowed & (allowed.sum(axis=1, keepdims=True) == 1)
    figure.add_scatter(
        x=k.astype(np.float32),
        y=q.astype(np.float32),
        # Of an array, a click would report an object.
        customdata=np.stack([q, k, allowed[q, k], only[q, k]], axis=1).astype(int).tolist(),
        text=[
            say("masks.allowed" if allowed[i, j] else "masks.forbidden", query=escape(a), key=escape(b))
            for i, a in enumerate(attention.query_tokens)
            for j, b in enumerate(attention.key_tokens)
        ],
        mode="markers",
        marker={"symbol": "square", "size": 18, "color": "rgba(0,0,0,0)"},
        hovertemplate="%{text}<extra></extra>",
        showlegend=False,
    )


def score_heatmap(attention: Attention, layer: int, head: int, palette: Palette, *, masked: bool) -> go.Figure:
    """Heat map of one head's scaled scores before the softmax, on a scale centred on zero, its bar under the map.

    Its cells are of the size of those of `mask_heatmap`, and both scales, masked and not, are the same.

    Args:
        attention: one kind of attention of a trace.
        layer, head: which head, counted from 0.
        palette: colours of the page.
        masked: whether cells that the mask forbids are blank.

    Raises:
        IndexError: there is no such layer.
    """
    raw = attention.scores(layer, masked=False)[head]
    scores = np.where(attention.mask(layer), raw, np.nan) if masked else raw
    figure = grid(
        scores,
        rows=attention.query_tokens,
        columns=attention.key_tokens,
        title=say("masks.after_title" if masked else "masks.before_title"),
        row_title=say(f"kinds.{attention.kind}_asks"),
        column_title=say(f"kinds.{attention.kind}_asked"),
        unit=say("masks.score"),
        narrow=True,
        fit=True,
        bar=False,
        hover=say("masks.score_hover"),
        palette=palette,
        scale=palette.diverging,
        limits=signed_limits(raw),
        focus=(query_stack(attention.kind), range(len(attention.queries))),
    )
    return with_bar_below(figure)
