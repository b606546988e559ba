"""Figures of generation: one query's weights, token probabilities, the beam search tree, the logit lens."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from model.trace.attention import Attention
from model.trace.decoding import BeamNode
from viz.figures.grid import axis_ticks, grid, token_bars
from viz.figures.linking import FocusTokens, focus_rows
from viz.figures.theme import Palette, base_figure, colour_bar, escape, shorten
from viz.language.messages import say

MAX_LABELLED_COLUMNS = 14  # of the logit lens: with more, cells are too narrow for their token
LENS_HEIGHT, LENS_ROW = 434, 14  # pixels of the rows of the logit lens, which fits a screen, and of one at least


def query_heatmap(attention: Attention, row: int, palette: Palette) -> go.Figure:
    """Heat map of one query's weights in all heads of all layers, a row a head, a column a key.

    Args:
        attention: one kind of attention of a trace.
        row: position of the query.
        palette: colours of the page.
    """
    layers, heads = attention.num_layers, attention.num_heads
    values = np.concatenate([attention.row(layer, row) for layer in range(layers)])  # [layer · head, key]
    allowed = np.concatenate([np.repeat(attention.mask(layer)[row][None], heads, 0) for layer in range(layers)])
    keys = np.flatnonzero(allowed.any(axis=0))  # keys that are masked in every head have no column
    index = attention.layer_index
    names = [say("compare.tile", layer=layer, head=head) for layer in index for head in range(heads)]
    figure = grid(
        np.where(allowed, values, np.nan)[:, keys],
        rows=[f"{layer}/{head}" for layer in index for head in range(heads)],
        columns=[attention.keys.texts[i] for i in keys],
        row_names=names,
        column_names=[attention.keys.name(int(i)) for i in keys],
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


def next_token_bars(
    chances: np.ndarray, labels: Sequence[str], chosen: int | None, palette: Palette, title: str
) -> go.Figure:
    """Bar chart of the probabilities of the likeliest next tokens, the chosen one lit.

    Args:
        chances: [candidate]; labels: of the candidates.
        chosen: index of the candidate that is written; None where none is.
        palette: colours of the page.
        title: of the figure.
    """
    figure = base_figure(title, palette, height=60 + 28 * len(labels) + 44)
    figure.add_bar(
        x=chances.astype(np.float32),
        y=np.arange(len(labels)),
        orientation="h",
        marker={"color": [palette.accent if i == chosen else palette.faint for i in range(len(labels))]},
        text=[f"{chance:.0%}" if chance >= 0.005 else "" for chance in chances],
        textposition="outside",
        cliponaxis=False,
        customdata=[escape(label) for label in labels],
        hovertemplate=say("output.candidate_hover") + "<extra></extra>",
        showlegend=False,
    )
    names = [escape(shorten(name)) for name in labels]
    names = [f"<b>{name}</b>" if i == chosen else name for i, name in enumerate(names)]
    figure.update_layout(
        xaxis={"tickformat": ".0%", "range": [0, 1.12], "tickvals": [0, 0.25, 0.5, 0.75, 1], "fixedrange": True},
        yaxis={
            "range": [len(labels) - 0.5, -0.5],
            "showgrid": False,
            "zeroline": False,
            "tickmode": "array",
            "tickvals": list(range(len(labels))),
            "ticktext": names,
            "fixedrange": True,
        },
        bargap=0.25,
        margin={"l": 100, "r": 8, "t": 44, "b": 28},
    )
    return figure


def look_bars(attention: Attention, layer: int, head: int, row: int, palette: Palette, height: int = 384) -> go.Figure:
    """Bar chart of one query's weights in one head, a bar a key; keys that the mask forbids have no bar.

    Args:
        attention: one kind of attention of a trace.
        layer, head: which head, counted from 0.
        row: position of the query.
        palette: colours of the page.
        height: pixels.
    """
    keys = attention.keys
    weights = np.where(attention.mask(layer)[row], attention.row(layer, row)[head], np.nan)
    figure = token_bars(
        weights,
        keys.texts,
        palette,
        names=[keys.name(i) for i in range(len(keys))],
        title=say(
            "output.look_title",
            kind=say(f"kinds.{attention.kind}_attention"),
            layer=attention.layer_index[layer],
            head=head,
        ),
        hover=say("output.look_hover"),
        token_title=say(f"kinds.{attention.kind}_asked"),
        axis={"tickformat": ".0%", "range": [0, 1], "fixedrange": True},
        height=height,
    )
    stack = "decoder" if attention.kind == "decoder" else "encoder"  # of the tokens that are asked
    figure.update_layout(
        meta={"focus": focus_rows((stack, range(len(keys))), "x")}, xaxis={"range": [-0.6, len(keys) - 0.4]}
    )
    return figure


def probability_bars(values: np.ndarray, labels: Sequence[str], places: Sequence[int], palette: Palette) -> go.Figure:
    """Bar chart of the probability of each generated token.

    Args:
        values: [token]; labels: of the tokens; places: their positions in the decoder.
        palette: colours of the page.
    """
    figure = token_bars(
        values,
        labels,
        palette,
        title=say("output.probability_title"),
        hover=say("output.probability_hover"),
        axis={"tickformat": ".0%", "range": [0, 1], "title": say("changes.probability")},
    )
    # As low as its slanted labels let it be: the logit lens stands below it.
    return figure.update_layout(meta={"focus": focus_rows(("decoder", places), "x")}, height=264)


def beam_tree(tree: Sequence[BeamNode], labels: Sequence[str], best: Sequence[int], palette: Palette) -> go.Figure:
    """Tree of the hypotheses that beam search kept and ended, with the best one highlighted.

    Args:
        tree: nodes; dropped ones are not drawn.
        labels: of each node.
        best: indices of the nodes of the best hypothesis.
        palette: colours of the page.
    """
    drawn = [i for i, node in enumerate(tree) if node.fate != "dropped"]
    depths = max((tree[i].depth for i in drawn), default=1)
    by_depth = {d: [i for i in drawn if tree[i].depth == d] for d in range(1, depths + 1)}
    row = {i: place for column in by_depth.values() for place, i in enumerate(column)}
    height = max(map(len, by_depth.values()), default=1)
    figure = base_figure(say("output.tree_title"), palette, height=int(min(150 + 46 * height, 700)))
    in_best = set(best)
    for is_best, colour, width in ((False, palette.faint, 1.5), (True, palette.accent, 3)):
        x, y = [], []
        for i in drawn:
            if (i in in_best) == is_best:
                parent = tree[i].parent
                x += [tree[i].depth - 1, tree[i].depth, None]
                y += [row[parent] if parent >= 0 else 0, row[i], None]
        figure.add_scatter(
            x=x, y=y, mode="lines", line={"color": colour, "width": width}, hoverinfo="skip", showlegend=False
        )
    for fate, symbol in (("kept", "circle"), ("ended", "square")):
        in_legend = False
        for is_best, colour in ((False, palette.second), (True, palette.accent)):
            nodes = [i for i in drawn if tree[i].fate == fate and (i in in_best) == is_best]
            if not nodes:
                continue
            figure.add_scatter(
                x=[tree[i].depth for i in nodes],
                y=[row[i] for i in nodes],
                mode="markers+text" if depths <= 16 else "markers",
                text=[escape(shorten(labels[i], 9)) for i in nodes],
                textposition="top center",
                textfont={"size": 11},
                customdata=[[escape(labels[i]), tree[i].score] for i in nodes],
                marker={"symbol": symbol, "size": 11, "color": colour},
                name=say(f"output.{fate}_node"),
                showlegend=not in_legend,
                hovertemplate=say("output.tree_hover") + "<extra></extra>",
            )
            in_legend = True
    figure.update_layout(
        xaxis={
            "title": say("output.step"),
            "range": [-0.3, depths + 0.6],
            "zeroline": False,
            "dtick": 1 if depths <= 20 else 5,
        },
        yaxis={"visible": False, "range": [height - 0.4, -0.8]},
        showlegend=True,
    )
    return figure


def logit_lens(
    probability: np.ndarray, best: Sequence[Sequence[str]], columns: Sequence[str], focus: FocusTokens, palette: Palette
) -> go.Figure:
    """Logit lens: heat map of the likeliest next token at each depth and its probability, first layer at the bottom.

    Args:
        probability: of the likeliest token. [layer + 1, token]
        best: that token. [layer + 1][token]
        columns: labels of the input tokens, at most `MAX_LABELLED_COLUMNS`, so that each cell has room for its token.
        focus: the stack and positions of the input tokens.
        palette: colours of the page.
    """
    depth = len(probability)
    names = [say("layers.embedding"), *(say("layers.after", layer=i) for i in range(depth - 1))]
    row = max(LENS_ROW, min(34, LENS_HEIGHT // depth))
    figure = base_figure(say("output.lens_title"), palette, height=150 + row * depth)
    figure.add_heatmap(
        z=probability.astype(np.float32),
        text=[[escape(shorten(token, 9)) for token in row] for row in best],
        texttemplate="%{text}",
        customdata=[[escape(token) for token in row] for row in best],
        textfont={"size": 12 if row > 16 else 10},
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
            **axis_ticks(columns),
        },
        yaxis={
            "title": say("heads.layer_axis"),
            "showgrid": False,
            "zeroline": False,
            "tickfont": {"size": 13 if row > 16 else 10},
            **axis_ticks(names),
        },
        meta={"focus": focus_rows(focus, "x")},
    )
    return figure
