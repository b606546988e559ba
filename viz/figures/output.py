"""Output step by step: what each head looked at, how likely each token was, the tree of a beam, the logit lens."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from model.generation.decoding import Node
from model.trace.attention import Attention
from viz.figures.grid import grid, ticks, token_bars
from viz.figures.theme import Palette, colour_bar, escape, frame, shorten
from viz.language.messages import say

WRITTEN = 14  # columns of the logit lens up to which each cell holds its token; more would be too narrow to read


def looks(attention: Attention, row: int, palette: Palette) -> go.Figure:
    """What every head of every layer looked at from one query: a row a head, a column a key."""
    layers, heads = attention.num_layers, attention.num_heads
    values = np.concatenate([attention.row(layer, row) for layer in range(layers)])  # [layer · head, key]
    allowed = np.concatenate([np.repeat(attention.mask(layer)[row][None], heads, 0) for layer in range(layers)])
    keep = allowed.any(axis=0)  # what nobody may look at from here has no column
    places = np.flatnonzero(keep)
    names = [say("compare.tile", layer=layer, head=head) for layer in range(layers) for head in range(heads)]
    figure = grid(
        np.where(allowed, values, np.nan)[:, keep],
        rows=[f"{layer}/{head}" for layer in range(layers) for head in range(heads)],
        columns=[attention.keys.texts[i] for i in places],
        row_names=names,
        column_names=[attention.keys.name(int(i)) for i in places],
        title=say("output.looks_title", kind=say(f"kinds.{attention.kind}")),
        row_title=say("output.head"),
        column_title=say(f"kinds.{attention.kind}_asked"),
        unit=say("heads.unit"),
        hover=say("output.looks_hover"),
        palette=palette,
        limits=(0, 1),
        tickformat=".0%",
    )
    for layer in range(1, layers):
        figure.add_hline(y=layer * heads - 0.5, line={"color": palette.second, "width": 1})
    return figure


def probabilities(values: np.ndarray, labels: Sequence[str], palette: Palette) -> go.Figure:
    """The probability that the model gave each token of the output. [token]"""
    return token_bars(
        values,
        labels,
        palette,
        title=say("output.probability_title"),
        hover=say("output.probability_hover"),
        axis={"tickformat": ".0%", "range": [0, 1], "title": say("changes.probability")},
    )


def beam_tree(tree: Sequence[Node], labels: Sequence[str], chosen: Sequence[int], palette: Palette) -> go.Figure:
    """What beam search kept, dropped and ended. Dropped tokens are drawn only where they are the best of their step.

    Args:
        labels: of each node; chosen: the nodes of the text that won.
    """
    kept = [i for i, node in enumerate(tree) if node.fate != "dropped"]
    depths = max((tree[i].depth for i in kept), default=1)
    by_depth = {d: [i for i in kept if tree[i].depth == d] for d in range(1, depths + 1)}
    high = {i: place for column in by_depth.values() for place, i in enumerate(column)}
    tall = max(map(len, by_depth.values()), default=1)
    figure = frame(say("output.tree_title"), palette, height=int(min(150 + 46 * tall, 700)))
    won = set(chosen)
    for mine, colour, width in ((False, palette.faint, 1.5), (True, palette.accent, 3)):
        x, y = [], []
        for i in kept:
            if (i in won) == mine:
                parent = tree[i].parent
                x += [tree[i].depth - 1, tree[i].depth, None]
                y += [high[parent] if parent >= 0 else 0, high[i], None]
        figure.add_scatter(
            x=x, y=y, mode="lines", line={"color": colour, "width": width}, hoverinfo="skip", showlegend=False
        )
    for fate, symbol in (("kept", "circle"), ("ended", "square")):
        named = False
        for mine, colour in ((False, palette.second), (True, palette.accent)):
            nodes = [i for i in kept if tree[i].fate == fate and (i in won) == mine]
            if not nodes:
                continue
            figure.add_scatter(
                x=[tree[i].depth for i in nodes],
                y=[high[i] for i in nodes],
                mode="markers+text" if depths <= 16 else "markers",
                text=[escape(shorten(labels[i], 9)) for i in nodes],
                textposition="top center",
                textfont={"size": 11},
                customdata=[[escape(labels[i]), tree[i].score] for i in nodes],
                marker={"symbol": symbol, "size": 11, "color": colour},
                name=say(f"output.{fate}_node"),
                showlegend=not named,
                hovertemplate=say("output.tree_hover") + "<extra></extra>",
            )
            named = True
    figure.update_layout(
        xaxis={
            "title": say("output.step"),
            "range": [-0.3, depths + 0.6],
            "zeroline": False,
            "dtick": 1 if depths <= 20 else 5,
        },
        yaxis={"visible": False, "range": [tall - 0.4, -0.8]},
        showlegend=True,
    )
    return figure


def logit_lens(
    probability: np.ndarray, best: Sequence[Sequence[str]], columns: Sequence[str], palette: Palette
) -> go.Figure:
    """What each layer would say if it were the last: its likeliest token, the colour its probability.

    Args:
        probability: of the likeliest token. [layer + 1, token]
        best: that token. [layer + 1][token]
        columns: the tokens fed in.
    """
    depth, count = probability.shape
    names = [say("layers.embedding"), *(say("layers.after", layer=i) for i in range(depth - 1))]
    figure = frame(say("output.lens_title"), palette, height=150 + max(26, min(34, 900 // depth)) * depth)
    # First layer at the bottom: one reads upwards, as the vectors travel.
    figure.add_heatmap(
        z=probability.astype(np.float32),
        text=[[escape(shorten(token, 9)) for token in row] for row in best],
        texttemplate="%{text}" if count <= WRITTEN and depth * count <= 450 else None,
        customdata=[[escape(token) for token in row] for row in best],
        textfont={"size": 12},
        colorscale=[list(stop) for stop in palette.sequential],
        zmin=0,
        zmax=1,
        colorbar=colour_bar(say("changes.probability"), ".0%"),
        xgap=1,
        ygap=1,
        hovertemplate=say("output.lens_hover") + "<extra></extra>",
    )
    figure.update_layout(
        xaxis={
            "title": say("changes.fed_in"),
            "tickangle": -60,
            "showgrid": False,
            "zeroline": False,
            **ticks(columns),
        },
        yaxis={"title": say("layers.depth"), "showgrid": False, "zeroline": False, **ticks(names)},
    )
    return figure
