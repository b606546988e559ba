"""A figure as a still picture, PNG or SVG, drawn from its own data: no browser, no network.

It knows the parts that Headlight's figures are made of; any other part is an error, never a gap in a picture.
"""

from __future__ import annotations

import base64
import html
import io
import math
import re
from collections.abc import Iterator, Sequence
from itertools import compress
from typing import Any

import matplotlib as mpl
import numpy as np
import plotly.graph_objects as go
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap, to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MultipleLocator, PercentFormatter
from PIL import Image

from viz.saving import fonts

POINT = 0.75  # points in a pixel
WIDE = 900  # pixels of a picture that says nothing of its width
DASHES = {"dot": (0, (1, 1.5)), "dash": (0, (4, 2)), "dashdot": (0, (4, 1.5, 1, 1.5)), "solid": "-"}
MARKERS = {"square": "s", "circle": "o", "x-thin": "x"}
RIGHT = {"left": "left", "right": "right", "center": "center", "auto": "center"}
BELOW = {"top": "top", "bottom": "bottom", "middle": "center", "auto": "center"}
BESIDE = {"left": "right", "right": "left", "center": "center"}  # a text to the left of a point ends there


def still(figure: go.Figure, background: str, form: str) -> bytes:
    """The figure as a picture file.

    Args:
        background: colour of the page behind it.
        form: "png" or "svg".

    Raises:
        ValueError: it has a part that is not known here.
    """
    look: Any = {
        "font.family": fonts.families(strings(figure)),
        "text.parse_math": False,
        "font.size": 13 * POINT,
        "svg.fonttype": "path",
        "svg.hashsalt": "headlight",
    }
    with mpl.rc_context(look):
        size = (WIDE / 96, (figure.layout.height or 400) / 96)
        canvas = Figure(figsize=size, dpi=192, layout="constrained", facecolor=background)
        FigureCanvasAgg(canvas)
        axes = canvas.add_subplot()
        axes.set_facecolor("none")
        _frame(figure.layout, axes)
        bars = _bar_places([trace for trace in figure.data if trace.type == "bar"])
        for trace in figure.data:
            if trace.type == "heatmap":
                _heatmap(trace, axes, background)
            elif trace.type == "scatter":
                _scatter(trace, axes)
            elif trace.type == "bar":
                _bar(trace, axes, *next(bars))
            else:
                raise ValueError(f"a still picture of a {trace.type!r} trace is not known")
        _overlays(figure.layout, axes)
        _axis(figure.layout, axes, "x")
        _axis(figure.layout, axes, "y")
        if figure.layout.showlegend:
            canvas.legend(loc="outside lower left", ncols=4, frameon=False, labelcolor=_ink(figure.layout))
        buffer = io.BytesIO()
        canvas.savefig(buffer, format=form, metadata={"Date": None} if form == "svg" else None)
    return buffer.getvalue()


def words(text: object) -> str:
    """Plotly's text without its tags and entities, its lines parted; letters that no font here has as numbers."""
    broken = ("" if text is None else str(text)).replace("<br>", "\n")
    return fonts.written(html.unescape(re.sub(r"</?[a-z]+>", "", broken)), most=2)


def strings(figure: go.Figure) -> Iterator[str]:
    """Every text in a figure, those that only a pointer sees too."""
    parts = [figure.to_plotly_json()]
    while parts:
        part = parts.pop()
        if isinstance(part, str):
            yield part
        elif isinstance(part, dict):
            parts += part.values()
        elif isinstance(part, (list, tuple)) or (isinstance(part, np.ndarray) and part.dtype.kind in "OU"):
            parts.extend(part)  # += would add them up where they are an array


def colour(text: object) -> tuple[float, float, float, float]:
    """A CSS colour as red, green, blue and opacity, each 0 to 1."""
    numbers = re.fullmatch(r"rgba?\(([^)]*)\)", str(text))
    if not numbers:
        return to_rgba(str(text))
    red, green, blue, *rest = (float(part) for part in numbers[1].split(","))
    return red / 255, green / 255, blue / 255, rest[0] if rest else 1.0


def _ink(layout: Any) -> str:
    return str(layout.font.color or "#000")


def _frame(layout: Any, axes: Axes) -> None:
    size = (layout.title.font.size or 16) * POINT
    axes.title.set_color(_ink(layout))  # the one in the middle, which stays empty: what has no layout takes its ink
    axes.set_title(words(layout.title.text), loc="left", color=_ink(layout), size=size, weight="bold", pad=12)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(length=0, colors=_ink(layout))


def _axis(layout: Any, axes: Axes, name: str) -> None:
    axis = layout[f"{name}axis"]
    drawn = axes.xaxis if name == "x" else axes.yaxis
    if axis.visible is False:
        drawn.set_visible(False)
    drawn.set_label_text(words(axis.title.text), color=_ink(layout))
    if axis.type == "log":
        (axes.set_xscale if name == "x" else axes.set_yscale)("log")
    if axis.tickvals is not None:
        texts = axis.ticktext if axis.ticktext is not None else axis.tickvals
        drawn.set_ticks(list(axis.tickvals), [words(text) for text in texts])
    elif axis.dtick is not None and axis.type != "log":
        drawn.set_major_locator(MultipleLocator(axis.dtick))
    elif str(axis.tickformat or "").endswith("%"):
        drawn.set_major_formatter(_percent(axis.tickformat))
    if axis.tickangle and name == "x":
        slanted: dict[str, Any] = {} if abs(axis.tickangle) == 90 else {"ha": "right", "rotation_mode": "anchor"}
        axes.tick_params(axis="x", rotation=-axis.tickangle)
        for label in axes.get_xticklabels():
            label.set(**slanted)
    for label in drawn.get_ticklabels():
        label.set_fontsize((axis.tickfont.size or 12) * POINT)
    if axis.showgrid is not False and axis.visible is not False:
        drawn.grid(True, color=colour(axis.gridcolor or "#888"), linewidth=0.6)
        axes.set_axisbelow(True)
    low, high = axis.range or (None, None)
    if axis.range is None and axis.rangemode == "tozero":
        low = 0
    (axes.set_xlim if name == "x" else axes.set_ylim)(low, high)
    if axis.scaleanchor:
        axes.set_aspect("equal", adjustable="box")


def _percent(form: str) -> PercentFormatter:
    return PercentFormatter(1, decimals=int(form.strip(".%") or 0))


def _heatmap(trace: Any, axes: Axes, background: str) -> None:
    z = np.ma.masked_invalid(np.asarray(trace.z, np.float64))
    scale = LinearSegmentedColormap.from_list("scale", [(stop, colour(c)) for stop, c in trace.colorscale])
    rows, columns = z.shape
    low = trace.zmin if trace.zmin is not None else z.min()
    high = trace.zmax if trace.zmax is not None else z.max()
    gaps = {"edgecolors": background, "linewidth": 0.7} if trace.xgap else {"linewidth": 0}
    edges = np.arange(columns + 1) - 0.5, np.arange(rows + 1) - 0.5
    big = z.size > 4000  # thousands of squares would make a vector file that no program opens gladly
    drawn = axes.pcolormesh(*edges, z, cmap=scale, vmin=low, vmax=high, rasterized=big, **gaps)
    if trace.showscale is not False:
        form = _percent(trace.colorbar.tickformat) if str(trace.colorbar.tickformat or "").endswith("%") else None
        bar = axes.figure.colorbar(drawn, ax=axes, pad=0.02, fraction=0.05, aspect=30, format=form)
        bar.outline.set_visible(False)
        bar.set_label(words(trace.colorbar.title.text), color=axes.title.get_color())
        bar.ax.tick_params(length=0, colors=axes.title.get_color(), labelsize=9)
    if trace.texttemplate:
        for (row, column), text in np.ndenumerate(np.asarray(trace.text, object)):
            dark = np.dot(scale((z[row, column] - low) / (high - low))[:3], (0.299, 0.587, 0.114)) < 0.5
            axes.text(column, row, words(text), ha="center", va="center", size=8, color="#fff" if dark else "#111")


def _each(value: Any, count: int) -> list[Any]:
    """A value for each of `count` points, where Plotly takes one for all, too."""
    return list(value) if isinstance(value, (list, tuple, np.ndarray)) else [value] * count


def _floats(values: Any) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values], np.float64)


def _scatter(trace: Any, axes: Axes) -> None:
    x, y = _floats(trace.x), _floats(trace.y)
    mode = trace.mode or "lines"
    alpha = 1.0 if trace.opacity is None else trace.opacity
    label = words(trace.name) if trace.showlegend is not False and trace.name else "_hidden"
    if "lines" in mode:
        line = DASHES[trace.line.dash or "solid"]
        ink = colour(trace.line.color)
        axes.plot(x, y, linestyle=line, color=ink, linewidth=(trace.line.width or 2) * POINT, alpha=alpha, label=label)
        label = "_hidden"
    if "markers" in mode and len(x):
        marker, count = trace.marker, len(x)
        inks = [colour(one) for one in _each("#000" if marker.color is None else marker.color, count)]
        sizes = [(POINT * one) ** 2 for one in _each(6 if marker.size is None else marker.size, count)]
        thin = str(marker.symbol or "").endswith("-thin")
        edges = [
            colour(one) for one in _each("rgba(0,0,0,0)" if marker.line.color is None else marker.line.color, count)
        ]
        widths = [POINT * one for one in _each(0 if marker.line.width is None else marker.line.width, count)]
        shape = MARKERS[marker.symbol or "circle"]
        drawn: Any = {"color": edges} if thin else {"facecolors": inks, "edgecolors": edges}
        if any(ink[3] for ink in (edges if thin else inks)):  # the others only catch clicks
            there = [math.isfinite(one) and math.isfinite(two) for one, two in zip(x, y, strict=True)]  # no gaps
            some: dict[str, Any] = {name: list(compress(values, there)) for name, values in drawn.items()}
            left, up = list(compress(x, there)), list(compress(y, there))
            sizes, widths = list(compress(sizes, there)), list(compress(widths, there))
            over = {"alpha": trace.opacity, "zorder": 3}  # lines lie under it
            axes.scatter(left, up, s=sizes, marker=shape, linewidths=widths, label=label, **over, **some)
    if "text" in mode:
        ink_text = trace.textfont.color or axes.title.get_color()
        sides = _each(trace.textposition or "middle center", len(x))
        for one, two, text, side in zip(x, y, _each(trace.text, len(x)), sides, strict=True):
            above, _, across = side.partition(" ")
            if text and math.isfinite(one) and math.isfinite(two):
                axes.annotate(
                    words(text), (one, two), (0, 5 if above == "top" else 0), textcoords="offset points",
                    color=ink_text, ha=BESIDE[across], va="bottom" if above == "top" else "center",
                    size=(trace.textfont.size or 12) * POINT,
                )  # fmt: skip


def _bar_places(traces: Sequence[Any]) -> Iterator[tuple[float, float]]:
    """Where each bar trace stands beside the others, and how wide its bars are: (shift, width)."""
    places = [set(_each(trace.y if trace.orientation == "h" else trace.x, 1)) for trace in traces]
    meet = sum(map(len, places)) > len(set().union(*places))
    width = 0.8 / len(traces) if meet else 0.8
    for i in range(len(traces)):
        yield width * (i - (len(traces) - 1) / 2) if meet else 0.0, width


def _bar(trace: Any, axes: Axes, shift: float, width: float) -> None:
    flat = trace.orientation == "h"
    at, high = (trace.y, trace.x) if flat else (trace.x, trace.y)
    names = list(at) if len(at) and isinstance(at[0], str) else None
    places = np.arange(len(at)) if names else _floats(at)
    inks = [colour(one) for one in _each(trace.marker.color, len(places))]
    label = words(trace.name) if trace.showlegend is not False and trace.name else "_hidden"
    (axes.barh if flat else axes.bar)(places + shift, _floats(high), width, color=inks, label=label)
    if names:
        axes.set_xticks(places, [words(name) for name in names])
    if trace.error_y.array is not None:
        spread = [np.asarray(trace.error_y.arrayminus, float), np.asarray(trace.error_y.array, float)]
        axes.errorbar(places, _floats(high), spread, fmt="none", ecolor=colour(trace.error_y.color), capsize=3)


def _segments(path: str) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """The upright and level lines that a path is made of, as their ends."""
    found = re.findall(r"M([-.\d]+),([-.\d]+)([VH])([-.\d]+)", path)
    starts = [(float(x), float(y), way == "V", float(end)) for x, y, way, end in found]
    return [((x, y), (x, end) if upright else (end, y)) for x, y, upright, end in starts]


def _overlays(layout: Any, axes: Axes) -> None:
    for image in layout.images:
        picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(image.source.split(",", 1)[1]))).convert("RGBA"))
        extent = (image.x, image.x + image.sizex, image.y + image.sizey, image.y)
        axes.imshow(picture, extent=extent, aspect="auto", zorder=0, interpolation="nearest")
    for shape in layout.shapes:
        edge: Any = {"edgecolor": colour(shape.line.color), "linewidth": (shape.line.width or 2) * POINT, "fill": False}
        if shape.type == "rect":
            axes.add_patch(Rectangle((shape.x0, shape.y0), shape.x1 - shape.x0, shape.y1 - shape.y0, **edge, zorder=5))
        elif shape.type == "line" and shape.xref == "x domain" and shape.y0 == shape.y1:
            axes.axhline(shape.y0, color=edge["edgecolor"], linewidth=edge["linewidth"])
        elif shape.type == "path":
            axes.add_collection(LineCollection(_segments(shape.path), colors=edge["edgecolor"], linewidths=0.7))
        else:
            raise ValueError(f"a still picture of a {shape.type!r} shape is not known")
    for note in layout.annotations:
        axes.text(
            note.x, note.y, words(note.text), size=(note.font.size or 12) * POINT,
            color=note.font.color or _ink(layout), ha=RIGHT[note.xanchor or "center"],
            va=BELOW[note.yanchor or "middle"], weight="bold" if "<b>" in note.text else "normal",
            transform=axes.get_xaxis_transform() if note.yref == "paper" else axes.transData,
        )  # fmt: skip
