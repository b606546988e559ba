"""Figures of position encodings: heat maps, similarity by distance, rotations, wavelengths and biases."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from model.measures.hidden_states import cosine_similarities
from viz.figures.full_grid import colour_limit, full_grid, signed_grid
from viz.figures.linking import FocusTokens, focus_points
from viz.figures.theme import Palette, base_figure
from viz.figures.waves import HEIGHT
from viz.language.messages import say


def encoding_heatmap(encoding: np.ndarray, palette: Palette, focus: FocusTokens | None = None) -> go.Figure:
    """Heat map of a position encoding, positions down, every dimension across, on a scale centred on zero.

    Args:
        encoding: [position, d_model]
        palette: colours of the page.
        focus: the tokens that stand at the first positions.
    """
    return signed_grid(
        encoding,
        palette,
        rows=[str(i) for i in range(len(encoding))],
        title=say("positions.table_title"),
        titles=(say("positions.position"), say("positions.dimension")),
        unit=say("positions.value"),
        place=say("positions.table_place"),
        limit=colour_limit(encoding),
        focus=focus,
        height=HEIGHT - 96,
        min_row=1,
    )


def similarity_heatmap(encoding: np.ndarray, palette: Palette, focus: FocusTokens | None = None) -> go.Figure:
    """Heat map of the cosine similarities of all pairs of positions. encoding: [position, d_model]"""
    return full_grid(
        cosine_similarities(encoding),
        rows=[str(i) for i in range(len(encoding))],
        title=say("positions.similarity_title"),
        titles=(say("positions.position"), say("positions.position")),
        unit=say("positions.cosine"),
        hover=say("positions.similarity_map_hover"),
        palette=palette,
        scale=palette.diverging,
        limits=(-1, 1),
        focus=focus,
        height=HEIGHT - 96,
        min_row=1,
    )


def wavelength_bars(frequencies: np.ndarray, palette: Palette) -> go.Figure:
    """Bar chart of the wavelengths of rotary pairs, in positions. frequencies: radians per position, [pair]"""
    figure = base_figure(say("positions.wavelengths_title"), palette, height=380)
    figure.add_bar(
        x=np.arange(len(frequencies)),
        y=(2 * np.pi / frequencies).astype(np.float32),
        marker={"color": palette.accent},
        hovertemplate=say("positions.wavelengths_hover") + "<extra></extra>",
        showlegend=False,
    )
    figure.update_layout(
        xaxis={"title": say("positions.pair_axis"), "showgrid": False},
        yaxis={"title": say("positions.wavelength"), "type": "log", "dtick": 1},
    )
    return figure


def bias_by_distance(bias: np.ndarray, distances: np.ndarray, palette: Palette) -> go.Figure:
    """Line chart of each head's position bias over the distance from query to key.

    Args:
        bias: what each head adds to its scores. [head, distance]
        distances: key position minus query position. [distance]
        palette: colours of the page.
    """
    figure = base_figure(say("positions.bias_title"), palette, height=460)
    for head, line in enumerate(bias):
        figure.add_scatter(
            x=distances,
            y=line.astype(np.float32),
            mode="lines",
            line={"color": palette.lines[head % len(palette.lines)], "width": 2, "simplify": False},
            name=say("positions.bias_head", head=head),
            hovertemplate=say("positions.bias_hover", head=head) + "<extra></extra>",
        )
    figure.update_layout(
        xaxis={"title": say("positions.bias_axis")}, yaxis={"title": say("positions.bias_unit")}, showlegend=True
    )
    return figure


def similarity_by_distance(encoding: np.ndarray, palette: Palette) -> go.Figure:
    """Line chart of the cosine similarity of each position with all others over their distance, one curve a position.

    Encodings whose similarity depends on the distance alone draw all curves on one line. At most 64 are drawn.

    Args:
        encoding: [position, d_model]
        palette: colours of the page.
    """
    cosine = cosine_similarities(encoding)
    count = len(encoding)
    figure = base_figure(say("positions.similarity_title"), palette, height=400)
    for position in range(0, count, -(-count // 64)):
        figure.add_scatter(
            x=np.arange(count) - position,
            y=cosine[position].astype(np.float32),
            mode="lines",
            line={"color": palette.lines[0] if position else palette.lines[1], "width": 1.5, "simplify": False},
            opacity=0.5,
            name=say("positions.curve", position=position),
            hovertemplate=say("positions.similarity_hover", position=position) + "<extra></extra>",
            showlegend=False,
        )
    figure.update_layout(xaxis={"title": say("positions.distance")}, yaxis={"title": say("positions.cosine")})
    return figure


def rotation_circle(
    encoding: np.ndarray,
    start: int,
    offset: int,
    palette: Palette,
    title: str,
    focus: FocusTokens | None = None,
) -> go.Figure:
    """Scatter plot of one sine-cosine pair of a sinusoidal encoding on the unit circle, with two positions as hands.

    A shift by `offset` positions turns the hand by the same angle wherever it starts.

    Args:
        encoding: the sine and the cosine of the pair. [position, 2]
        start: position of the first hand.
        offset: positions from the first hand to the second.
        palette: colours of the page.
        title: of the figure.
        focus: the tokens that stand at the first positions.
    """
    points = encoding[:, [1, 0]]  # x: cosine, y: sine
    figure = base_figure(title, palette, height=380)
    figure.add_scatter(
        x=points[:, 0].astype(np.float32),
        y=points[:, 1].astype(np.float32),
        mode="markers",
        marker={"color": palette.faint, "size": 8},
        text=[str(i) for i in range(len(points))],
        hovertemplate=say("positions.circle_hover") + "<extra></extra>",
        showlegend=False,
    )
    for position, colour, dash in ((start, palette.second, "solid"), (start + offset, palette.accent, "dot")):
        figure.add_scatter(
            x=[0, points[position, 0]],
            y=[0, points[position, 1]],
            mode="lines+markers",
            marker={"size": [1, 12], "color": colour},
            line={"color": colour, "width": 3, "dash": dash},
            name=say("positions.hand", position=position),
            hoverinfo="skip",
        )
    figure.update_layout(
        meta={"focus": focus_points(*focus, points[: len(focus[1])].tolist(), (0.07, 0.07))} if focus else {},
        legend={"orientation": "v", "x": 1, "xanchor": "right", "y": 1},
        xaxis={"title": say("positions.cos"), "range": [-1.2, 1.2], "constrain": "domain"},
        yaxis={"title": say("positions.sin"), "range": [-1.2, 1.2], "scaleanchor": "x"},
        showlegend=True,
    )
    return figure
