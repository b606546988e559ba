"""What one query listens to in a sound: a bar a moment, over how loud the sound is."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from model.trace.tokens import Sound
from viz.figures.theme import Palette, base_figure, escape
from viz.language.messages import say

HEIGHT = 420  # pixels


def sound_bars(sound: Sound, weights: np.ndarray, token: str, palette: Palette) -> go.Figure:
    """Bars of one query's weights over time, in front of the loudness of the sound.

    Args:
        sound: what was heard.
        weights: on the moments of the sound, and behind them on silence. [token]
        token: the query's label.
        palette: colours of the page.

    Raises:
        ValueError: there are fewer weights than moments.
    """
    count = len(sound.loudness)
    if len(weights) < count:
        raise ValueError(f"{len(weights)} weights, but the sound has {count} moments")
    values = weights[:count].astype(np.float32)
    times = np.arange(count) * sound.step
    high = float(values.max()) or 1.0
    figure = base_figure(say("sounds.title", token=escape(token)), palette, height=HEIGHT)
    figure.add_scatter(
        x=times + sound.step / 2,
        y=(sound.loudness * high / (float(sound.loudness.max()) or 1.0)).astype(np.float32),
        mode="lines",
        line={"color": palette.faint, "width": 1, "shape": "hvh"},
        fill="tozeroy",
        name=say("sounds.loudness"),
        hoverinfo="skip",
    )
    figure.add_bar(
        x=times + sound.step / 2,
        y=values,
        width=sound.step,
        marker={"color": palette.accent, "line": {"width": 0}},
        customdata=[sound.label(i) for i in range(count)],
        hovertemplate=say("sounds.hover") + "<extra></extra>",
        name=say("heads.unit"),
    )
    form = ".1%" if high < 0.1 else ".0%"
    figure.update_layout(
        showlegend=True,
        bargap=0,
        xaxis={"title": {"text": say("sounds.seconds")}, "range": [0, count * sound.step], "showgrid": False},
        yaxis={
            "range": [0, 1.05 * high],
            "tickformat": form,
            "title": {"text": say("heads.unit")},
        },
    )
    return figure


def bars_error_of_sound(figure: go.Figure, sound: Sound, weights: np.ndarray) -> float:
    """Largest difference of the bars of `sound_bars` from weights, as a share of the largest; infinite elsewhere.

    Args:
        weights: as there.
    """
    bars, count = figure.data[1], len(sound.loudness)
    found, places = np.asarray(bars.y, np.float64), np.asarray(bars.x, np.float64)
    upright = figure.layout.xaxis.range[0] < figure.layout.xaxis.range[1]
    expected = (np.arange(count) + 0.5) * sound.step
    if found.shape != (count,) or not upright or np.abs(places - expected).max() > sound.step / 10:
        return np.inf
    wanted = weights[:count].astype(np.float64)
    return float(np.abs(found - wanted).max() / (wanted.max() or 1.0))
