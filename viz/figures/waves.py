"""Smooth curves over positions: waves of an encoding, and the match of a query and a key by their distance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from model.positions.rotary import match_by_distance
from model.positions.scheme import Rotation
from viz.figures.linking import FocusTokens, focus_rows
from viz.figures.theme import Palette, base_figure
from viz.language.messages import say

POINTS = 8  # of a curve between two positions: the quickest wave takes six positions
HEIGHT = 400  # pixels of a figure in the first screen


@dataclass(frozen=True)
class Wave:
    """A sinusoid over the position.

    Attributes:
        name: in the legend.
        frequency: radians per position.
        cosine: whether it starts at 1 instead of 0.
        first: the position of the first token.
    """

    name: str
    frequency: float
    cosine: bool
    first: int = 0

    def at(self, positions: np.ndarray) -> np.ndarray:
        """Its values at some positions."""
        return (np.cos if self.cosine else np.sin)((positions + self.first) * self.frequency)


def sinusoid_waves(dimensions: Sequence[int], turning: Rotation, first: int = 0) -> list[Wave]:
    """The waves of some columns of a sinusoidal table.

    Args:
        turning: the frequency of each pair, and the columns of its sine and its cosine.
        first: the position of the first token.
    """
    assert turning.pairs is not None
    places = {int(column): (pair, part) for pair, two in enumerate(turning.pairs) for part, column in enumerate(two)}
    return [
        Wave(
            say("positions.wave_name", dimension=dimension, function=("sin", "cos")[places[dimension][1]]),
            float(turning.frequencies[places[dimension][0]]),
            places[dimension][1] == 1,
            first,
        )
        for dimension in dimensions
    ]


def wave_curves(
    waves: Sequence[Wave], length: int, palette: Palette, title: str, unit: str, focus: FocusTokens | None = None
) -> go.Figure:
    """Line chart of waves over the position, smooth, with a dot at each position; cosines among sines are dotted.

    Args:
        waves: one curve each.
        length: positions drawn, from 0.
        palette: colours of the page.
        title, unit: of the figure and of its values.
        focus: the tokens that stand at the first positions.
    """
    figure = base_figure(title, palette, height=HEIGHT)
    fine, whole = _fine(0, length - 1), np.arange(length)
    mixed = len({wave.cosine for wave in waves}) > 1
    for number, wave in enumerate(waves):
        colour = palette.lines[number % len(palette.lines)]
        _smooth_curve(
            figure, wave.at(fine), wave.at(whole), 0, colour, wave.name, "dot" if mixed and wave.cosine else "solid"
        )
    figure.update_layout(
        xaxis={"title": say("positions.position"), "range": [-0.5, length - 0.5], "zeroline": False},
        yaxis={"title": unit, "range": [-1.1, 1.1]},
        showlegend=True,
        legend={"y": -0.21, "font": {"size": 12}},
        meta={"focus": focus_rows(focus, "x")} if focus else {},
    )
    return figure


def _fine(first: int, last: int) -> np.ndarray:
    """Points from one position to another, `POINTS` for each step."""
    return np.linspace(first, last, (last - first) * POINTS + 1)


def _smooth_curve(
    figure: go.Figure,
    curve: np.ndarray,
    dots: np.ndarray,
    first: int,
    colour: str,
    name: str,
    dash: str = "solid",
    width: float = 2,
    marked: bool = True,
) -> None:
    """Add a curve with `POINTS` values for each step, and a dot at each integer, from the integer `first` on."""
    figure.add_scatter(
        x=first + np.arange(len(curve), dtype=np.float32) / POINTS,
        y=curve.astype(np.float32),
        mode="lines",
        name=name,
        legendgroup=name,
        # Not simplified: the same points whatever the values, so that they glide.
        line={"color": colour, "width": width, "dash": dash, "simplify": False},
        hoverinfo="skip",
    )
    if marked:
        figure.add_scatter(
            x=first + np.arange(len(dots)),
            y=dots.astype(np.float32),
            mode="markers",
            name=name,
            legendgroup=name,
            showlegend=False,
            marker={"color": colour, "size": 5 if len(dots) <= 128 else 3},
            hovertemplate="%{x}: %{y:.3f}<extra>%{fullData.name}</extra>",
        )


def match_curve(
    query: np.ndarray,
    key: np.ndarray,
    rotation: Rotation,
    distances: tuple[int, int, int],
    pairs: Sequence[int],
    palette: Palette,
) -> go.Figure:
    """Line chart of the dot product of one query and one key by the distance between them, and what some pairs add.

    Args:
        query, key: rotated by their own positions, as the model multiplies them. [head_dim]
        rotation: of the head's layer, with its pairs.
        distances: from the key to the query, in positions: the first and the last drawn, and the true one.
        pairs: whose parts are drawn, in the colours of `wave_curves`.
        palette: colours of the page.
    """
    assert rotation.pairs is not None
    first, last, true = distances
    figure = base_figure(say("positions.match_title"), palette, height=HEIGHT)
    fine, whole = (
        match_by_distance(query, key, at - true, rotation.frequencies, rotation.pairs)
        for at in (_fine(first, last), np.arange(first, last + 1))
    )
    for number, pair in enumerate(pairs):
        colour, name = palette.lines[number % len(palette.lines)], say("positions.pair_name", pair=pair)
        _smooth_curve(figure, fine.parts[pair], whole.parts[pair], first, colour, name, "dot", 1.5, marked=False)
    _smooth_curve(figure, fine.total, whole.total, first, palette.accent, say("positions.match_all"), width=3)
    figure.add_scatter(
        x=[true],
        y=[float(query.astype(np.float64) @ key)],
        mode="markers",
        name=say("positions.match_true", distance=true),
        marker={"color": palette.second, "size": 14, "line": {"color": palette.page, "width": 2}},
        hovertemplate="%{x}: %{y:.3f}<extra></extra>",
    )
    figure.update_layout(
        xaxis={"title": say("positions.match_axis"), "range": [first - 0.5, last + 0.5], "zeroline": first < 0},
        yaxis={"title": say("positions.match_unit")},
        showlegend=True,
        legend={"y": -0.21, "font": {"size": 12}},
    )
    return figure


def match_at_whole_distances(
    query: np.ndarray, key: np.ndarray, rotation: Rotation, distances: tuple[int, int, int]
) -> np.ndarray:
    """The dot product at each whole distance; arguments as for `match_curve`. float64 [distance]"""
    assert rotation.pairs is not None
    first, last, true = distances
    return match_by_distance(query, key, np.arange(first, last + 1) - true, rotation.frequencies, rotation.pairs).total
