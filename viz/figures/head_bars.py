"""One number a head as bars, best first, with what needs no head beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from viz.figures.theme import Palette, base_figure
from viz.language.messages import say

MAX_BARS = 16
DASHES = ("dash", "dot")


def head_bars(
    shares: np.ndarray,
    names: Sequence[int],
    head: tuple[int, int],
    title: str,
    unit: str,
    baselines: Mapping[str, float],
    palette: Palette,
) -> go.Figure:
    """The share that each head reaches, best first, and the shares of baselines as lines.

    Args:
        shares: from 0 to 1. [layer, head]
        names: of the layers.
        head: layer and head on screen, which is always among them.
        unit: title of the axis; baselines: name -> share.
    """
    heads = shares.shape[1]
    order = np.argsort(-shares.ravel(), kind="stable")
    here = head[0] * heads + head[1]
    shown = order[:MAX_BARS].tolist()
    if here not in shown:
        shown[-1] = here
    places = np.arange(len(shown))
    figure = base_figure(title, palette, height=280)
    figure.add_bar(
        x=places,
        y=shares.ravel()[shown],
        marker={"color": [palette.second if one == here else palette.accent for one in shown]},
        hovertemplate="%{y:.0%}<extra></extra>",
        name=unit,
        showlegend=False,
    )
    ends = [-0.5, len(shown) - 0.5]
    for (name, share), dash in zip(baselines.items(), DASHES, strict=False):
        figure.add_scatter(
            x=ends,
            y=[share, share],
            mode="lines",
            line={"color": palette.text, "width": 2, "dash": dash},
            name=name,
            hovertemplate="%{y:.0%}<extra>%{fullData.name}</extra>",
        )
    top = max([float(np.nanmax(shares)), *baselines.values()])
    figure.update_layout(
        showlegend=True,
        legend={"y": -0.5},
        xaxis={
            "range": ends,
            "tickmode": "array",
            "tickvals": places.tolist(),
            "ticktext": [f"{names[one // heads]}.{one % heads}" for one in shown],
            "title": {"text": say("bars.heads")},
            "showgrid": False,
        },
        yaxis={"range": [0, 1.05 if top > 0.5 else 1.1 * top], "tickformat": ".0%", "title": {"text": unit}},
    )
    return figure
