"""Recurrent layers beside attention: steps that wait for each other, and time, by the length of the text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import plotly.graph_objects as go

from viz.figures.theme import Palette, frame
from viz.language.messages import say


class Reading(Protocol):
    """As `model.measures.recurrence.Reading`, which is not imported here: it brings PyTorch."""

    @property
    def name(self) -> str: ...
    @property
    def length(self) -> int: ...
    @property
    def steps(self) -> int: ...
    @property
    def path(self) -> int: ...
    @property
    def seconds(self) -> float: ...


def times(readings: Sequence[Reading], palette: Palette) -> go.Figure:
    """Milliseconds against tokens, both doubling at equal distances."""
    return _curves(readings, palette, "times", lambda one: 1000 * one.seconds)


def counts(readings: Sequence[Reading], palette: Palette) -> go.Figure:
    """Steps that must be made one after another against tokens."""
    shown = [one for one in readings if one.name in ("rnn", "attention")]  # an LSTM steps as often as an RNN
    return _curves(shown, palette, "counts", lambda one: one.steps)


def _curves(readings: Sequence[Reading], palette: Palette, title: str, height: Callable[[Reading], float]) -> go.Figure:
    figure = frame(say(f"why.{title}_title"), palette, height=400)
    styles = {"rnn": ("dash", 0), "lstm": ("dot", 2), "lstm_whole": ("dashdot", 6), "attention": ("solid", 1)}
    for name, (dash, colour) in styles.items():
        own = [one for one in readings if one.name == name]
        if own:
            figure.add_scatter(
                x=np.array([one.length for one in own], np.float32),
                y=np.array([height(one) for one in own], np.float32),
                customdata=np.array([one.path for one in own], np.float32),
                mode="lines+markers",
                name=say(f"why.{name}"),
                line={"color": palette.lines[colour], "width": 3, "dash": dash},
                marker={"size": 8},
                hovertemplate=say(f"why.{title}_hover") + "<extra></extra>",
            )
    lengths = sorted({one.length for one in readings})
    figure.update_layout(
        xaxis={
            "title": say("why.length"),
            "type": "log",
            "tickvals": lengths,
            "ticktext": [str(length) for length in lengths],
        },
        yaxis={"title": say(f"why.{title}_axis"), "type": "log", "dtick": 1},
        showlegend=True,
    )
    return figure
