"""Figures of hidden states and feed-forward neurons, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from model.measures.hidden_states import cosine_to_embedding, state_coordinates
from viz.figures.grid import grid, label_step, signed_limits
from viz.figures.theme import Palette, base_figure, escape, shorten
from viz.language.messages import say


def depth_names(count: int) -> list[str]:
    """Labels of `count` hidden states: the embedding, then the output of each layer."""
    return [say("layers.embedding"), *(say("layers.after", layer=layer) for layer in range(count - 1))]


def activation_heatmap(states: np.ndarray, depth: int, tokens: Sequence[str], palette: Palette) -> go.Figure:
    """Heat map of one hidden state, tokens down, dimensions across, on a scale centred on zero.

    Args:
        states: hidden states; row 0 is the embedding. [layer + 1, token, d_model]
        depth: which of them.
        tokens: labels.
        palette: colours of the page.
    """
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


def norm_heatmap(states: np.ndarray, tokens: Sequence[str], palette: Palette) -> go.Figure:
    """Heat map of the L2 norm of each token's hidden state at each depth. states: [layer + 1, token, d_model]"""
    return _by_depth(np.linalg.norm(states, axis=-1), tokens, "norms", palette)


def embedding_similarity_heatmap(states: np.ndarray, tokens: Sequence[str], palette: Palette) -> go.Figure:
    """Heat map of the cosine similarity of each token's hidden state with its embedding. [layer + 1, token, d_model]"""
    return _by_depth(cosine_to_embedding(states), tokens, "similarities", palette, limits=(-1, 1))


def _by_depth(
    values: np.ndarray, tokens: Sequence[str], name: str, palette: Palette, limits: tuple[float, float] | None = None
) -> go.Figure:
    """Heat map of a value for each token (down) at each depth (across). values: [layer + 1, token]"""
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


def token_trajectories(states: np.ndarray, tokens: Sequence[str], palette: Palette) -> go.Figure:
    """Line chart of each token's hidden states from the embedding to the last layer, projected to two components.

    Args:
        states: hidden states; row 0 is the embedding. [layer + 1, token, d_model]
        tokens: labels.
        palette: colours of the page.

    Returns:
        A figure whose title says which share of the variance the two principal components keep.
    """
    points, explained = state_coordinates(states)
    figure = base_figure(say("layers.paths_title", kept=f"{explained:.0%}"), palette, height=520)
    depths = depth_names(len(states))
    labelled = range(0, len(tokens), label_step(len(tokens)))  # the others have their label in the hover text
    gap = [None]
    for number, colour in enumerate(palette.lines[: len(tokens)]):  # one trace a colour: one a token is slow to draw
        same_colour = range(number, len(tokens), len(palette.lines))
        x, y, ends, labels, sizes = [], [], [], [], []
        for token in same_colour:
            x += [*points[:, token, 0].tolist(), *gap]
            y += [*points[:, token, 1].tolist(), *gap]
            ends += [*[""] * (len(states) - 1), escape(shorten(tokens[token])) if token in labelled else "", ""]
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


def neuron_heatmap(activations: np.ndarray, layer: int, tokens: Sequence[str], palette: Palette) -> go.Figure:
    """Heat map of one layer's feed-forward activations, tokens down, neurons across; inactive neurons are blank.

    Args:
        activations: after the activation function. [token, d_ff]
        layer: which layer they are from.
        tokens: labels.
        palette: colours of the page.
    """
    return grid(
        np.where(activations > 0, activations, np.nan),
        rows=tokens,
        columns=[str(i) for i in range(activations.shape[1])],
        title=say("layers.neurons_title", layer=layer),
        row_title=say("layers.token"),
        column_title=say("layers.neuron"),
        unit=say("layers.value"),
        hover=say("layers.neuron_hover"),
        palette=palette,
        limits=(0.0, float(activations.max()) or 1.0),
    )


def sparsity_bars(activations: np.ndarray, palette: Palette) -> go.Figure:
    """Bar chart of the share of active neurons in each layer: mean over tokens, with minimum and maximum.

    Args:
        activations: of all feed-forward neurons. [layer, token, d_ff]
        palette: colours of the page.
    """
    figure = base_figure(say("layers.sparsity_title"), palette, height=320)
    share = (activations > 0).mean(axis=-1)  # [layer, token]
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
