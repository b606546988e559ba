"""Heat maps of an attention mask and of the scores before and after it."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from model.trace.attention import Attention
from viz.figures.grid import grid, signed_limits
from viz.figures.theme import Palette, escape
from viz.language.messages import say

MAX_CLICKABLE_CELLS = 2500  # of more cells each is too small to click, and drawing them is slow


def mask_heatmap(
    attention: Attention, layer: int, palette: Palette, title: str, *, clickable: bool = False
) -> go.Figure:
    """Heat map of a layer's mask: coloured where a query may attend, blank and marked where it may not.

    Args:
        attention: one kind of attention of a trace.
        layer: which layer, counted from 0.
        palette: colours of the page.
        title: of the figure.
        clickable: a click on a cell reports [query, key] as customdata, in masks of up to `MAX_CLICKABLE_CELLS`.

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
        hover=say("masks.allowed_hover"),
        palette=palette,
        scale=((0, palette.second), (1, palette.second)),
        limits=(0, 1),
    )
    forbidden_q, forbidden_k = np.nonzero(~allowed)
    if 0 < len(forbidden_q) <= 2000 and not figure.layout.meta:  # a pooled map has other coordinates
        figure.add_scatter(
            x=forbidden_k.astype(np.float32),
            y=forbidden_q.astype(np.float32),
            mode="markers",
            marker={"symbol": "x-thin", "size": 7, "line": {"color": palette.forbidden, "width": 1}},
            xaxis="x2",
            yaxis="y2",
            hovertemplate=say("masks.forbidden_hover") + "<extra></extra>",
            showlegend=False,
        )
    if clickable and allowed.size <= MAX_CLICKABLE_CELLS:
        q, k = np.indices(allowed.shape).reshape(2, -1)
        # Plotly reports no clicks on heat maps: invisible square markers over the cells report them.
        figure.add_scatter(
            x=k.astype(np.float32),
            y=q.astype(np.float32),
            customdata=np.stack([q, k], axis=1).tolist(),  # of an array, a click would report an object
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
    return figure


def score_heatmap(attention: Attention, layer: int, head: int, palette: Palette, *, masked: bool) -> go.Figure:
    """Heat map of one head's scaled scores before the softmax, on a scale centred on zero.

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
    return grid(
        scores,
        rows=attention.query_tokens,
        columns=attention.key_tokens,
        title=say("masks.after_title" if masked else "masks.before_title", layer=layer, head=head),
        row_title=say(f"kinds.{attention.kind}_asks"),
        column_title=say(f"kinds.{attention.kind}_asked"),
        unit=say("masks.score"),
        hover=say("masks.score_hover"),
        palette=palette,
        scale=palette.diverging,
        limits=signed_limits(raw),
    )
