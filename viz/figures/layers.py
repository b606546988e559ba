"""Figures of hidden states and feed-forward neurons, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from model.measures.hidden_states import cosine_to_embedding, massive_states, state_coordinates
from viz.figures.full_grid import colour_limit, full_grid, signed_grid
from viz.figures.grid import axis_ticks, grid, label_step
from viz.figures.linking import focus_points
from viz.figures.theme import Palette, base_figure, escape, shorten
from viz.language.messages import say

PATHS_HEIGHT, BELOW = 420, 280  # pixels of the paths, and of all rows of a map that is not in the first screen


def depth_names(count: int) -> list[str]:
    """Labels of `count` hidden states: the embedding, then the output of each layer."""
    return [say("layers.embedding"), *(say("layers.after", layer=layer) for layer in range(count - 1))]


def activation_heatmap(
    states: np.ndarray, depth: int, tokens: Sequence[str], palette: Palette, stack: str
) -> go.Figure:
    """Heat map of one hidden state, tokens down, every dimension across, on a scale centred on zero.

    Colours end at `activation_limit`.

    Args:
        states: hidden states; row 0 is the embedding. [layer + 1, token, d_model]
        depth: which of them.
        tokens: labels.
        palette: colours of the page.
        stack: the tokens', "encoder" or "decoder".
    """
    return signed_grid(
        states[depth],
        palette,
        rows=tokens,
        title=say("layers.activations_title", depth=depth_names(len(states))[depth]),
        titles=(say("layers.token"), say("layers.dimension")),
        unit=say("layers.value"),
        place=say("layers.activation_place"),
        limit=activation_limit(states, depth),
        focus=(stack, range(len(tokens))),
    )


def activation_limit(states: np.ndarray, depth: int) -> float:
    """The magnitude at the ends of the colours of one hidden state: `colour_limit` without the massive tokens.

    states: [layer + 1, token, d_model]
    """
    return colour_limit(np.delete(states[depth], [found.token for found in massive_states(states)], axis=0))


def norm_heatmap(
    states: np.ndarray, tokens: Sequence[str], palette: Palette, stack: str, depth: int | None = None
) -> go.Figure:
    """Heat map of the L2 norm of each token's hidden state at each depth; logarithmic where one is massive.

    Args:
        states: [layer + 1, token, d_model]
        depth: the column to draw a box around; others as for `activation_heatmap`.
    """
    norms = np.linalg.norm(states, axis=-1).T
    if not massive_states(states):
        return _by_depth(
            norms, "norms", tokens, palette, stack, depth, scale=palette.sequential, limits=(0.0, norms.max() or 1.0)
        )
    logarithms = np.log10(norms.clip(1e-6))
    low, high = float(logarithms.min()), float(logarithms.max())
    ticks = [step for step in range(-6, 9) if low <= step <= high]
    bar = {"tickmode": "array", "tickvals": ticks, "ticktext": [f"{10.0**step:,g}" for step in ticks]}
    return _by_depth(
        logarithms, "log_norms", tokens, palette, stack, depth,
        scale=palette.sequential, limits=(low, high), bar=bar, hover_values=norms,
    )  # fmt: skip


def embedding_similarity_heatmap(
    states: np.ndarray, tokens: Sequence[str], palette: Palette, stack: str, depth: int | None = None
) -> go.Figure:
    """Heat map of the cosine similarity of each token's hidden state with its embedding; see `norm_heatmap`."""
    cosine = cosine_to_embedding(states).T
    how: dict[str, Any] = {"scale": palette.diverging, "limits": (-1.0, 1.0), "height": BELOW}
    return _by_depth(cosine, "similarities", tokens, palette, stack, depth, **how)


def _by_depth(
    values: np.ndarray,
    name: str,
    tokens: Sequence[str],
    palette: Palette,
    stack: str,
    depth: int | None,
    **how: Any,
) -> go.Figure:
    """Heat map of a value for each token at each depth. values: [token, layer + 1]; how: of `full_grid`"""
    return full_grid(
        values,
        rows=tokens,
        title=say(f"layers.{name}_title"),
        titles=(say("layers.token"), say("layers.depth")),
        unit=say(f"layers.{name}_unit"),
        hover=say(f"layers.{name}_hover"),
        palette=palette,
        columns=_depth_ticks(values.shape[1]),
        focus=(stack, range(len(tokens))),
        column=depth,
        **how,
    )


def _depth_ticks(count: int) -> dict[str, object]:
    """Tick settings of an axis of depths: the embedding, then layer numbers, thinned to what can be read."""
    step = next(one for one in (1, 2, 5, 10, 20, 50, count) if count <= 13 * one)
    layers = [layer for layer in range(count - 1) if layer % step == 0 and (layer or step == 1)]
    texts = [say("layers.embedding_short"), *map(str, layers)]
    return {"tickmode": "array", "tickvals": [0, *(layer + 1 for layer in layers)], "ticktext": texts, "tickangle": 0}


def token_trajectories(
    states: np.ndarray, tokens: Sequence[str], palette: Palette, stack: str, left_out: Sequence[int] = ()
) -> go.Figure:
    """Line chart of each token's hidden states from the embedding to the last layer, projected to two components.

    Args:
        states: hidden states; row 0 is the embedding. [layer + 1, token, d_model]
        tokens: labels.
        palette: colours of the page.
        stack: the tokens', "encoder" or "decoder".
        left_out: positions of tokens that are not drawn and have no part in the components.

    Returns:
        A figure whose title says which share of the variance the two principal components keep.
    """
    drawn = [token for token in range(len(tokens)) if token not in left_out]
    points, explained = state_coordinates(states[:, drawn])
    figure = base_figure(say("layers.paths_title", kept=f"{explained:.0%}"), palette, height=PATHS_HEIGHT)
    for number in range(min(len(drawn), len(palette.lines))):  # one trace a colour: one a token is slow to draw
        group = range(number, len(drawn), len(palette.lines))
        colour = palette.lines[number]
        figure.add_scatter(
            **_paths(
                points[:, group],
                [tokens[drawn[one]] for one in group],
                range(0, len(drawn), label_step(len(drawn))),
                group,
            ),
            mode="lines+markers+text",
            line={"color": colour, "width": 2},
            marker_color=colour,
            textposition=("top center", "bottom center", "middle right", "middle left")[number % 4],
            hovertemplate="%{customdata}<extra></extra>",
            showlegend=False,
        )
    half = np.ptp(points.reshape(-1, 2), axis=0) * (0.025, 0.04) + 1e-9
    figure.update_layout(
        xaxis={"title": say("layers.first_axis")},
        yaxis={"title": say("layers.second_axis")},
        meta={"focus": focus_points(stack, drawn, points[-1].tolist(), (float(half[0]), float(half[1])))},
    )
    return figure


def _paths(points: np.ndarray, tokens: Sequence[str], labelled: range, numbers: range) -> dict[str, Any]:
    """Coordinates, sizes and texts of the paths of some tokens, with gaps between them, in Plotly's names.

    Args:
        points: [layer + 1, token, 2]
        tokens: their labels.
        labelled: numbers of those whose label is written; the others have theirs in the hover text.
        numbers: of the tokens.
    """
    depths, steps = depth_names(len(points)), len(points) - 1
    x, y, ends, labels, sizes = [], [], [], [], []
    for column, (token, number) in enumerate(zip(tokens, numbers, strict=True)):
        x += [*points[:, column, 0].tolist(), None]
        y += [*points[:, column, 1].tolist(), None]
        ends += [*[""] * steps, escape(shorten(token)) if number in labelled else "", ""]
        labels += [*[f"{escape(token)}: {depth}" for depth in depths], ""]
        sizes += [*[5] * steps, 10, 0]
    return {"x": x, "y": y, "text": ends, "customdata": labels, "marker_size": sizes}


def neuron_heatmap(
    activations: np.ndarray, layer: int, tokens: Sequence[str], palette: Palette, stack: str
) -> go.Figure:
    """Heat map of one layer's feed-forward activations, tokens down, neurons across.

    Inactive neurons are blank; where neurons may be negative (GELU, gated layers), on a scale centred on zero.

    Args:
        activations: after the activation function. [token, d_ff]
        layer: which layer they are from.
        tokens, palette, stack: as for `activation_heatmap`.
    """
    if (activations < 0).any():
        return signed_grid(
            activations,
            palette,
            rows=tokens,
            title=say("layers.neurons_signed_title", layer=layer),
            titles=(say("layers.token"), say("layers.neuron")),
            unit=say("layers.value"),
            place=say("layers.neuron_place"),
            limit=colour_limit(activations),
            focus=(stack, range(len(tokens))),
        )
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
        focus=(stack, range(len(tokens))),
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
        x=np.arange(len(share)),
        y=share.mean(axis=-1).astype(np.float32),
        error_y={
            "array": share.max(axis=-1) - share.mean(axis=-1),
            "arrayminus": share.mean(axis=-1) - share.min(axis=-1),
            "color": palette.text,
        },
        marker={"color": palette.accent},
        hovertemplate=say("layers.sparsity_hover") + "<extra></extra>",
    )
    ticks = axis_ticks([str(layer) for layer in range(len(share))])
    figure.update_layout(xaxis={"title": say("heads.layer_axis"), "showgrid": False, **ticks})
    figure.update_layout(yaxis={"title": say("layers.share"), "tickformat": ".0%", "rangemode": "tozero"})
    return figure
