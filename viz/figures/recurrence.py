"""Line charts that compare recurrent layers with attention: sequential steps and time, by sequence length."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import plotly.graph_objects as go

from viz.figures.theme import Palette, base_figure
from viz.language.messages import say


class LayerTiming(Protocol):
    """Protocol of `model.measures.recurrence.LayerTiming`, not imported here because it needs PyTorch."""

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


def time_curves(timings: Sequence[LayerTiming], palette: Palette) -> go.Figure:
    """Line chart of the milliseconds of each layer type over the number of tokens, on logarithmic axes."""
    return _curves(timings, palette, "times", lambda one: 1000 * one.seconds)


def step_count_curves(timings: Sequence[LayerTiming], palette: Palette) -> go.Figure:
    """Line chart of the sequential steps of each layer type over the number of tokens, on logarithmic axes."""
    selected = [one for one in timings if one.name in ("rnn", "attention")]  # an LSTM has as many steps as an RNN
    return _curves(selected, palette, "counts", lambda one: one.steps)


def _curves(
    timings: Sequence[LayerTiming], palette: Palette, title: str, height: Callable[[LayerTiming], float]
) -> go.Figure:
    """Line chart of a quantity over sequence length, a curve for each layer type, on logarithmic axes."""
    figure = base_figure(say(f"why.{title}_title"), palette, height=400)
    styles = {"rnn": ("dash", 0), "lstm": ("dot", 2), "lstm_whole": ("dashdot", 6), "attention": ("solid", 1)}
    for name, (dash, colour) in styles.items():
        measured = [one for one in timings if one.name == name]
        if measured:
            figure.add_scatter(
                x=np.array([one.length for one in measured], np.float32),
                y=np.array([height(one) for one in measured], np.float32),
                customdata=np.array([one.path for one in measured], np.float32),
                mode="lines+markers",
                name=say(f"why.{name}"),
                line={"color": palette.lines[colour], "width": 3, "dash": dash},
                marker={"size": 8},
                hovertemplate=say(f"why.{title}_hover") + "<extra></extra>",
            )
    lengths = sorted({one.length for one in timings})
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
