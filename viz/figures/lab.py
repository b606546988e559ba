"""Figures of many sentences: the mean of every head, one head's sentences, and heads ranked with their intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from model.lab.measures import BITS, SHARE
from viz.figures.bar_below import with_bar_below
from viz.figures.grid import axis_ticks, grid
from viz.figures.theme import Palette, base_figure, escape, shorten
from viz.language.messages import say

HEIGHT = 350  # pixels of the figures in the first screen
MOST_BARS = 12
LONGEST_SENTENCE = 70  # letters in the hover text
SMALL = 0.095  # shares below it are written with a decimal
CLICKABLE = 22  # pixels of the squares that report clicks


def head_means(
    means: np.ndarray,
    selected: tuple[int, int],
    what: str,
    unit: str,
    palette: Palette,
    layers: Sequence[int],
    largest: float | None = None,
) -> go.Figure:
    """Heat map of the mean of every head, layers down and heads across; a click reports [layer, head].

    Args:
        means: NaN where no sentence shows it. [layer, head]
        selected: layer and head with a frame.
        what: name of the measure; unit: of its values, one of `model.lab.measures`.
        layers: of the model, for each row.
        largest: the value at the end of the colours; None for the largest mean.
    """
    finite = means[np.isfinite(means)]
    top = largest if largest is not None else float(finite.max()) if finite.size else 1.0
    figure = with_bar_below(
        grid(
            means,
            rows=[str(layer) for layer in layers],
            columns=[str(head) for head in range(means.shape[1])],
            title=say("lab.means_title", what=what),
            row_title=say("heads.layer_axis"),
            column_title=say("heads.head_axis"),
            unit=unit_name(unit),
            hover=say("lab.means_hover_share" if unit == SHARE else "lab.means_hover"),
            palette=palette,
            limits=(0.0, top or 1.0),
            bar=False,
            fit=True,
            tickformat=".0%" if unit == SHARE else None,
        )
    )
    cells = list(np.ndindex(means.shape))
    figure.add_scatter(
        x=[head for _, head in cells],
        y=[layer for layer, _ in cells],
        customdata=[list(cell) for cell in cells],
        text=[say("lab.cell", layer=layers[i], head=h, value=number(float(means[i, h]), unit)) for i, h in cells],
        mode="markers",
        marker={"symbol": "square", "size": CLICKABLE, "color": "rgba(0,0,0,0)"},
        hovertemplate="%{text}<extra></extra>",
        showlegend=False,
    )
    layer, head = selected
    frame = {"x0": head - 0.5, "x1": head + 0.5, "y0": layer - 0.5, "y1": layer + 0.5}
    figure.add_shape(type="rect", line={"color": palette.second, "width": 3}, **frame)
    return figure


def head_sentences(
    values: np.ndarray,
    sentences: Sequence[str],
    interval: tuple[float, float, float],
    title: str,
    unit: str,
    palette: Palette,
) -> go.Figure:
    """One point for each sentence, lowest at the bottom, with the mean as a line and its interval as a band.

    Args:
        values: of one head, NaN where a sentence cannot show it. [sentence]
        interval: low, mean and high; NaN ends draw no band.

    Returns:
        A figure whose points have the number of their sentence as customdata.
    """
    figure = base_figure(title, palette, height=HEIGHT)
    order = [int(i) for i in np.argsort(values, kind="stable") if np.isfinite(values[i])]
    low, mean, high = interval
    if np.isfinite(low) and np.isfinite(high):
        band = {"x0": low, "x1": high, "y0": 0, "y1": 1, "yref": "paper"}
        figure.add_shape(type="rect", fillcolor=palette.faint, opacity=0.55, layer="below", line={"width": 0}, **band)
    if np.isfinite(mean):
        line = {"color": palette.second, "width": 2, "dash": "dash"}
        figure.add_shape(type="line", x0=mean, x1=mean, y0=0, y1=1, yref="paper", line=line)
    figure.add_scatter(
        x=values[order].astype(np.float32),
        y=np.arange(len(order)),
        mode="markers",
        marker={"color": palette.accent, "size": 7},
        customdata=order,
        text=[f"{number(values[i], unit)} · {escape(shorten(sentences[i], LONGEST_SENTENCE))}" for i in order],
        hovertemplate="%{text}<extra></extra>",
        showlegend=False,
    )
    top = float(values[order].max()) if order else 1.0
    down = {"showticklabels": False, "showgrid": False, "zeroline": False}
    return figure.update_layout(
        xaxis=_value_axis(unit, range=[-0.03 * (top or 1), 1.06 * (top or 1)]),
        yaxis={"title": {"text": say("lab.sentence_axis")}, **down},
    )


def ranked_heads(
    mean: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    selected: tuple[int, int],
    unit: str,
    palette: Palette,
    layers: Sequence[int],
) -> go.Figure:
    """Bars of the heads with the largest means, each with its interval as a line; a click reports [layer, head].

    Args:
        mean, low, high: NaN where there is none. [layer, head]
        selected: layer and head whose bar has another colour.
    """
    heads = mean.shape[1]
    order = [int(i) for i in np.argsort(-mean.ravel(), kind="stable") if np.isfinite(mean.ravel()[i])][:MOST_BARS]
    places = [divmod(i, heads) for i in order]
    figure = base_figure(say("lab.ranked_title"), palette, height=HEIGHT)
    figure.add_bar(
        x=mean.ravel()[order].astype(np.float32),
        y=np.arange(len(order)),
        orientation="h",
        marker={"color": [palette.second if place == selected else palette.accent for place in places]},
        customdata=[list(place) for place in places],
        text=[say("lab.cell", layer=layers[i], head=h, value=number(mean[i, h], unit)) for i, h in places],
        textposition="none",
        hovertemplate="%{text}<extra></extra>",
        showlegend=False,
    )
    for row, (i, h) in enumerate(places):
        if np.isfinite(low[i, h]):
            ends = {"x0": float(low[i, h]), "x1": float(high[i, h]), "y0": row, "y1": row}
            figure.add_shape(type="line", line={"color": palette.text, "width": 2}, **ends)
    labels = [f"{layers[i]}.{h}" for i, h in places]
    return figure.update_layout(
        xaxis=_value_axis(unit, rangemode="tozero"),
        yaxis={
            "range": [max(len(order), 4) - 0.5, -0.5],
            "title": {"text": say("bars.heads")},
            "showgrid": False,
            "zeroline": False,
            **axis_ticks(labels),
        },
        bargap=0.3,
    )


def unit_name(unit: str) -> str:
    """The title of an axis of values of this unit."""
    return say("lab.share" if unit == SHARE else "lab.bits" if unit == BITS else "lab.tokens")


def number(value: float, unit: str) -> str:
    """A value as it is written: a share in percent, any other with two decimals, "–" where there is none."""
    if not np.isfinite(value):
        return "–"
    if unit != SHARE:
        return f"{value:.2f}"
    return f"{value:.0%}" if abs(value) >= SMALL or not value else f"{value:.1%}"


def _value_axis(unit: str, **layout: object) -> dict[str, object]:
    form = {"tickformat": ".0%"} if unit == SHARE else {}
    return {"title": {"text": unit_name(unit)}, **form, **layout}
