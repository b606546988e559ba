"""Traces of Plotly figures, drawn on matplotlib axes: heat maps, lines, markers, texts and bars."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import compress
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap

from viz.saving.plotly_values import POINTS, broadcast, css_to_rgba, percent_format, plain_text, to_floats

DASHES = {"dot": (0, (1, 1.5)), "dash": (0, (4, 2)), "dashdot": (0, (4, 1.5, 1, 1.5)), "solid": "-"}
MARKERS = {"square": "s", "circle": "o", "x-thin": "x"}
TEXT_ALIGNMENT = {"left": "right", "right": "left", "center": "center"}  # a text left of a point ends at the point
TEXT_SIDE = {"top": "bottom", "bottom": "top", "middle": "center"}


def draw_heatmap(trace: Any, axes: Axes, background: str) -> None:
    """Draw the cells, their colour bar and their texts."""
    z = np.ma.masked_invalid(np.asarray(trace.z, np.float64))
    scale = LinearSegmentedColormap.from_list("scale", [(stop, css_to_rgba(c)) for stop, c in trace.colorscale])
    rows, columns = z.shape
    low = trace.zmin if trace.zmin is not None else z.min()
    high = trace.zmax if trace.zmax is not None else z.max()
    gaps = {"edgecolors": background, "linewidth": 0.7} if trace.xgap else {"linewidth": 0}
    edges = np.arange(columns + 1) - 0.5, np.arange(rows + 1) - 0.5
    big = z.size > 4000  # SVG files with thousands of squares open slowly
    drawn = axes.pcolormesh(*edges, z, cmap=scale, vmin=low, vmax=high, rasterized=big, **gaps)
    if trace.showscale is not False:
        form = percent_format(trace.colorbar.tickformat) if str(trace.colorbar.tickformat or "").endswith("%") else None
        bar = axes.figure.colorbar(drawn, ax=axes, pad=0.02, fraction=0.05, aspect=30, format=form)
        bar.outline.set_visible(False)
        bar.set_label(plain_text(trace.colorbar.title.text), color=axes.title.get_color())
        bar.ax.tick_params(length=0, colors=axes.title.get_color(), labelsize=9)
    if trace.texttemplate:
        for (row, column), text in np.ndenumerate(np.asarray(trace.text, object)):
            dark = np.dot(scale((z[row, column] - low) / (high - low))[:3], (0.299, 0.587, 0.114)) < 0.5
            axes.text(column, row, plain_text(text), ha="center", va="center", size=8, color="#fff" if dark else "#111")


def draw_scatter(trace: Any, axes: Axes) -> None:
    """Draw the lines, markers and texts of a trace."""
    x, y = to_floats(trace.x), to_floats(trace.y)
    mode = trace.mode or "lines"
    label = plain_text(trace.name) if trace.showlegend is not False and trace.name else "_hidden"
    if "lines" in mode:
        axes.plot(
            x, y, linestyle=DASHES[trace.line.dash or "solid"], color=css_to_rgba(trace.line.color),
            linewidth=(trace.line.width or 2) * POINTS, alpha=1.0 if trace.opacity is None else trace.opacity,
            label=label, solid_capstyle="butt",  # as in the browser: a thick short line is a small number
        )  # fmt: skip
        label = "_hidden"
    if "markers" in mode and len(x):
        _draw_markers(trace, axes, x, y, label)
    if "text" in mode:
        colour = trace.textfont.color or axes.title.get_color()
        positions = broadcast(trace.textposition or "middle center", len(x))
        families = ["DejaVu Sans Mono"] if trace.textfont.family == "monospace" else []
        for i, j, text, position in zip(x, y, broadcast(trace.text, len(x)), positions, strict=True):
            vertical, _, horizontal = position.partition(" ")
            away = {"top": 5, "bottom": -5}.get(vertical, 0)
            if text and math.isfinite(i) and math.isfinite(j):
                axes.annotate(
                    plain_text(text), (i, j), (0, away), textcoords="offset points",
                    color=colour, ha=TEXT_ALIGNMENT[horizontal], va=TEXT_SIDE[vertical],
                    size=(trace.textfont.size or 12) * POINTS, family=[*families, *mpl.rcParams["font.family"]],
                    weight="bold" if "<b>" in text else "normal", style="italic" if "<i>" in text else "normal",
                )  # fmt: skip


def _draw_markers(trace: Any, axes: Axes, x: np.ndarray, y: np.ndarray, label: str) -> None:
    """Draw the markers of a trace, except invisible ones, which only report clicks."""
    marker, count = trace.marker, len(x)
    thin = str(marker.symbol or "").endswith("-thin")
    fills = [css_to_rgba(one) for one in broadcast("#000" if marker.color is None else marker.color, count)]
    edge = "rgba(0,0,0,0)" if marker.line.color is None else marker.line.color
    edges = [css_to_rgba(one) for one in broadcast(edge, count)]
    if not any(opacity for *_, opacity in (edges if thin else fills)):
        return
    properties: dict[str, Any] = {
        "s": [(POINTS * one) ** 2 for one in broadcast(6 if marker.size is None else marker.size, count)],
        "linewidths": [POINTS * one for one in broadcast(0 if marker.line.width is None else marker.line.width, count)],
        **({"color": edges} if thin else {"facecolors": fills, "edgecolors": edges}),
    }
    finite = [math.isfinite(i) and math.isfinite(j) for i, j in zip(x, y, strict=True)]
    shown: dict[str, Any] = {name: list(compress(values, finite)) for name, values in properties.items()}
    shape = MARKERS[marker.symbol or "circle"]
    above_lines = {"alpha": trace.opacity, "zorder": 3}
    axes.scatter(
        list(compress(x, finite)), list(compress(y, finite)), marker=shape, label=label, **above_lines, **shown
    )


def bar_offsets(traces: Sequence[Any]) -> Iterator[tuple[float, float]]:
    """Offset and width of the bars of each trace: side by side where traces have bars at the same position."""
    positions = [set(broadcast(trace.y if trace.orientation == "h" else trace.x, 1)) for trace in traces]
    overlap = sum(map(len, positions)) > len(set().union(*positions))
    width = 0.8 / len(traces) if overlap else 0.8
    for i in range(len(traces)):
        yield width * (i - (len(traces) - 1) / 2) if overlap else 0.0, width


def draw_bars(trace: Any, axes: Axes, offset: float, width: float) -> None:
    """Draw the bars of a trace and their error bars."""
    horizontal = trace.orientation == "h"
    coordinates, lengths = (trace.y, trace.x) if horizontal else (trace.x, trace.y)
    names = list(coordinates) if len(coordinates) and isinstance(coordinates[0], str) else None
    positions = np.arange(len(coordinates)) if names else to_floats(coordinates)
    colours = [css_to_rgba(colour) for colour in broadcast(trace.marker.color, len(positions))]
    label = plain_text(trace.name) if trace.showlegend is not False and trace.name else "_hidden"
    bars = (axes.barh if horizontal else axes.bar)(
        positions + offset, to_floats(lengths), width, color=colours, label=label
    )
    if trace.textposition == "outside" and trace.text is not None:
        texts = [plain_text(text) for text in broadcast(trace.text, len(positions))]
        size = (trace.textfont.size or 12) * POINTS
        axes.bar_label(bars, texts, padding=3, color=axes.title.get_color(), size=size)
    if names:
        axes.set_xticks(positions, [plain_text(name) for name in names])
    if trace.error_y.array is not None:
        spread = [np.asarray(trace.error_y.arrayminus, float), np.asarray(trace.error_y.array, float)]
        axes.errorbar(
            positions, to_floats(lengths), spread, fmt="none", ecolor=css_to_rgba(trace.error_y.color), capsize=3
        )
