"""What Compare shows below its maps: chosen heads side by side, all heads as points, rollout and flow."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from model.maps.pooling import capped_shape, group_starts
from model.measures.similarity import query_stride
from model.trace.attention import Attention
from model.trace.trace import Trace
from viz.figures.compare_heads import TILE_PIXELS, tile_corner
from viz.figures.reading_back import WRONG, falls, picture_pixels
from viz.figures.reading_series import bars_error
from viz.figures.theme import rgba_colours
from viz.frame import session
from viz.language.messages import say
from viz.widgets.drawn_numbers import on_screen
from viz.widgets.drawn_numbers.components import components_error

FLOWS = 3  # tokens whose flow is worked out again, with another algorithm


def wall_error(trace: Trace, figure: Any) -> float:
    """The error of the maps of the chosen heads: each at its place, the right way up, under its name."""
    attention, (layer, head) = on_screen.joined_and_head(trace)
    names = st.session_state.get(f"wall_{attention.kind}_{layer}_{head}", ())
    heads = [tuple(int(number) for number in name.split(".")) for name in names]
    across, layout, picture = min(6, len(heads)), figure.layout, figure.layout.images[0]
    down = -(-len(heads) // across)
    placed = [picture.x, picture.y, picture.sizex, picture.sizey] == [-0.5, -0.5, across, down]
    if not placed or not falls(layout.yaxis.range) or falls(layout.xaxis.range):
        return WRONG
    places = [(number % across, number // across) for number in range(len(heads))]
    titles = [say("compare.tile", layer=attention.layer_index[i], head=j) for i, j in heads]
    written = [(note.x, note.y + 0.5, note.text.replace("<br>", ", ")) for note in layout.annotations]
    cells = figure.data[0]
    clicks = [(x, y, tuple(cell)) for x, y, cell in zip(cells.x, cells.y, cells.customdata, strict=True)]
    if written != [(*at, title) for at, title in zip(places, titles, strict=True)]:
        return WRONG
    if clicks != [(*at, one) for at, one in zip(places, heads, strict=True)]:
        return WRONG
    pixels, scale, error = picture_pixels(picture.source).astype(int), session.palette().sequential, 0.0
    for (column, row), (i, j) in zip(places, heads, strict=True):
        top, left = tile_corner(row, column)
        tile = pixels[top : top + TILE_PIXELS, left : left + TILE_PIXELS]
        wanted = rgba_colours(_tile(attention, i, j), scale).astype(int)
        error = max(error, float(np.abs(tile - wanted).max())) if tile.shape == wanted.shape else WRONG
    return max(error - 1.0, 0.0) / 255


def _tile(attention: Attention, layer: int, head: int) -> np.ndarray:
    """The weights of one head, NaN where masked, in the pixels of a map."""
    cells = np.where(attention.mask(layer), attention.weights(layer)[head], np.nan)
    for axis, count in enumerate(capped_shape(cells.shape, TILE_PIXELS)):
        if count < cells.shape[axis]:
            cells = np.fmax.reduceat(cells, group_starts(cells.shape[axis], count), axis=axis)
    down, across = (np.arange(TILE_PIXELS) * count // TILE_PIXELS for count in cells.shape)
    return cells[np.ix_(down, across)]


def head_map_error(trace: Trace, figure: Any) -> float:
    """The error of the points of all heads, which lie along the principal components of the roots of their weights."""
    attention, _ = on_screen.joined_and_head(trace)
    heads = range(attention.num_heads)
    if len(figure.data) != attention.num_layers:
        return WRONG
    for layer, one in enumerate(figure.data):
        if [tuple(cell) for cell in one.customdata] != [(layer, head) for head in heads]:
            return WRONG
        if list(one.text) != [f"{attention.layer_index[layer]}/{head}" for head in heads]:
            return WRONG
    points = np.concatenate([np.stack([one.x, one.y], axis=-1) for one in figure.data]).astype(np.float64)
    step = query_stride(attention)
    weights = [attention.weights(layer)[:, ::step].reshape(len(heads), -1) for layer in range(attention.num_layers)]
    # The components come from inner products in float32, of which this much is rounding.
    return max(components_error(points, np.sqrt(np.concatenate(weights).astype(np.float64))) - 1e-3, 0.0)


def through_error(trace: Trace, figure: Any) -> float:
    """The error of one head's weights, of rollout, and of some of the flows from one token to the input."""
    attention, (layer, head) = on_screen.joined_and_head(trace)
    row = int(on_screen.chosen(f"through_{attention.kind}", len(attention.queries) - 1))
    means = [attention.weights(one).mean(axis=0, dtype=np.float64) for one in range(layer + 1)]
    layers = [(mean + np.eye(len(mean))) / 2 for mean in means]
    rolled = np.eye(len(layers[0]))[row]
    for one in reversed(layers):
        rolled = rolled @ one
    series = [attention.row(layer, row)[head].astype(np.float64), rolled]
    flows = [np.array(one.y, np.float64) for one in figure.data[2:]]
    names = [attention.queries.name(i) for i in range(len(attention.queries))]
    return max([bars_error(figure, [*series, *flows], names), *(_flow_error(layers, row, one) for one in flows)])


def _flow_error(layers: list[np.ndarray], row: int, shares: np.ndarray) -> float:
    """The error of shares of a flow: their sum, and how those of some tokens compare with the largest."""
    import networkx as nx

    graph = nx.DiGraph()
    for depth, layer in enumerate(layers):
        for query, key in zip(*np.nonzero(layer), strict=True):
            graph.add_edge((depth + 1, int(query)), (depth, int(key)), capacity=float(layer[query, key]))
    order = np.argsort(-shares, kind="stable")
    keys = [int(order[i]) for i in np.linspace(0, len(order) - 1, min(FLOWS, len(order))).astype(int)]
    flows = np.array(
        [
            nx.maximum_flow_value(graph, (len(layers), row), (0, key), flow_func=nx.algorithms.flow.boykov_kolmogorov)
            if (0, key) in graph
            else 0.0
            for key in keys
        ]
    )
    wanted = flows / flows[0] * shares[keys[0]]
    return max(abs(float(shares.sum()) - 1), float(np.abs(shares[keys] - wanted).max()) / float(shares.max()))
