"""Layers: what becomes of each token on its way up the stack."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from model.measures.hidden_states import cosine_to_first, paths
from viz.figures.grid import grid, signed_limits, thinned
from viz.figures.theme import Palette, escape, frame, shorten
from viz.language.messages import say


def depth_names(count: int) -> list[str]:
    """Names of the hidden states: the embedding, then a layer each."""
    return [say("layers.embedding"), *(say("layers.after", layer=layer) for layer in range(count - 1))]


def activations(states: np.ndarray, depth: int, tokens: Sequence[str], palette: Palette) -> go.Figure:
    """One layer's output, token by dimension. states: [layer + 1, token, d_model]"""
    return grid(
        states[depth],
        rows=tokens,
        columns=[str(i) for i in range(states.shape[2])],
        title=say("layers.activations_title", depth=depth_names(len(states))[depth]),
        row_title=say("layers.token"),
        column_title=say("layers.dimension"),
        unit=say("layers.value"),
        hover=say("layers.activation_hover"),
        palette=palette,
        scale=palette.diverging,
        limits=signed_limits(states[depth]),
    )


def norms(states: np.ndarray, tokens: Sequence[str], palette: Palette) -> go.Figure:
    """Length of each token's vector after each layer. [layer + 1, token, d_model]"""
    return _by_depth(np.linalg.norm(states, axis=-1), tokens, "norms", palette)


def similarities(states: np.ndarray, tokens: Sequence[str], palette: Palette) -> go.Figure:
    """Cosine similarity of each token's vector with its own embedding, layer by layer."""
    return _by_depth(cosine_to_first(states), tokens, "similarities", palette, limits=(-1, 1))


def _by_depth(
    values: np.ndarray, tokens: Sequence[str], name: str, palette: Palette, limits: tuple[float, float] | None = None
) -> go.Figure:
    """values: [layer + 1, token]; drawn with a row a token."""
    return grid(
        values.T,
        rows=tokens,
        columns=depth_names(len(values)),
        title=say(f"layers.{name}_title"),
        row_title=say("layers.token"),
        column_title=say("layers.depth"),
        unit=say(f"layers.{name}_unit"),
        hover=say(f"layers.{name}_hover"),
        palette=palette,
        scale=palette.diverging if limits else None,
        limits=limits,
    )


def token_paths(states: np.ndarray, tokens: Sequence[str], palette: Palette) -> go.Figure:
    """Each token's way from its embedding to the last layer, in the plane that keeps most of the variance."""
    points, kept = paths(states)
    figure = frame(say("layers.paths_title", kept=f"{kept:.0%}"), palette, height=520)
    depths = depth_names(len(states))
    named = range(0, len(tokens), thinned(len(tokens)))  # the others say their name on hover
    gap = [None]
    for number, colour in enumerate(palette.lines[: len(tokens)]):  # one trace a colour: one a token would be slow
        mine = range(number, len(tokens), len(palette.lines))
        x, y, ends, labels, sizes = [], [], [], [], []
        for token in mine:
            x += [*points[:, token, 0].tolist(), *gap]
            y += [*points[:, token, 1].tolist(), *gap]
            ends += [*[""] * (len(states) - 1), escape(shorten(tokens[token])) if token in named else "", ""]
            labels += [*[f"{escape(tokens[token])}: {depth}" for depth in depths], ""]
            sizes += [*[5] * (len(states) - 1), 10, 0]
        figure.add_scatter(
            x=x,
            y=y,
            mode="lines+markers+text",
            line={"color": colour, "width": 2},
            marker={"color": colour, "size": sizes},
            text=ends,
            textposition="top center",
            customdata=labels,
            hovertemplate="%{customdata}<extra></extra>",
            showlegend=False,
        )
    figure.update_layout(xaxis={"title": say("layers.first_axis")}, yaxis={"title": say("layers.second_axis")})
    return figure


def neurons(fired: np.ndarray, layer: int, tokens: Sequence[str], palette: Palette) -> go.Figure:
    """Feed-forward neurons after ReLU; those that are exactly zero stay blank. fired: [token, d_ff]"""
    return grid(
        np.where(fired > 0, fired, np.nan),
        rows=tokens,
        columns=[str(i) for i in range(fired.shape[1])],
        title=say("layers.neurons_title", layer=layer),
        row_title=say("layers.token"),
        column_title=say("layers.neuron"),
        unit=say("layers.value"),
        hover=say("layers.neuron_hover"),
        palette=palette,
        limits=(0.0, float(fired.max()) or 1.0),
    )


def sparsity(all_neurons: np.ndarray, palette: Palette) -> go.Figure:
    """Share of neurons that fire, a box a layer over the tokens. [layer, token, d_ff]"""
    figure = frame(say("layers.sparsity_title"), palette, height=320)
    share = (all_neurons > 0).mean(axis=-1)  # [layer, token]
    figure.add_bar(
        x=[say("layers.layer", layer=layer) for layer in range(len(share))],
        y=share.mean(axis=-1).astype(np.float32),
        error_y={
            "array": share.max(axis=-1) - share.mean(axis=-1),
            "arrayminus": share.mean(axis=-1) - share.min(axis=-1),
            "color": palette.text,
        },
        marker={"color": palette.accent},
        hovertemplate=say("layers.sparsity_hover") + "<extra></extra>",
    )
    figure.update_layout(yaxis={"title": say("layers.share"), "tickformat": ".0%", "rangemode": "tozero"})
    return figure
