"""Masks: which query may look at which key, and what that does to the scores."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from model.trace.attention import Attention
from viz.figures.grid import grid, signed_limits
from viz.figures.theme import Palette, escape
from viz.language.messages import say

PAINTED = 2500  # cells that can be clicked; more would be too small to hit, and slow


def mask_map(attention: Attention, layer: int, palette: Palette, title: str, *, paint: bool = False) -> go.Figure:
    """The mask itself: coloured where a query may look, blank where it may not.

    Args:
        paint: a click on a cell is reported, with its query and key as customdata.
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
    if 0 < len(forbidden_q) <= 2000 and not figure.layout.meta:  # the places of a pooled map are others
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
    if paint and allowed.size <= PAINTED:
        q, k = np.indices(allowed.shape).reshape(2, -1)
        # Plotly reports no click on a heat map; invisible squares over the cells do the reporting.
        figure.add_scatter(
            x=k.astype(np.float32),
            y=q.astype(np.float32),
            customdata=np.stack([q, k], axis=1).tolist(),  # an array would come back from a click as an object
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


def score_map(attention: Attention, layer: int, head: int, palette: Palette, *, masked: bool) -> go.Figure:
    """Scaled scores of one head before the softmax, with or without the mask; -inf is blank."""
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
