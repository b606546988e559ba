"""PNG and SVG images of Plotly figures, drawn by matplotlib from their data, without a browser or a network.

Only the traces and shapes of Headlight's own figures are supported; others are an error instead of a gap in the image.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
import numpy as np
import plotly.graph_objects as go
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import MultipleLocator
from matplotlib.transforms import blended_transform_factory
from PIL import Image

from viz.saving import fonts
from viz.saving.image_traces import DASHES, bar_offsets, draw_bars, draw_heatmap, draw_scatter
from viz.saving.plotly_values import POINTS, css_to_rgba, percent_format, plain_text

WIDTH = 900  # pixels of an image
HORIZONTAL_ALIGNMENT = {"left": "left", "right": "right", "center": "center", "auto": "center"}
VERTICAL_ALIGNMENT = {"top": "top", "bottom": "bottom", "middle": "center", "auto": "center"}


def still_image(figure: go.Figure, background: str, form: str) -> bytes:
    """Bytes of an image file of a figure.

    Args:
        figure: of Headlight.
        background: CSS colour of the page.
        form: "png" or "svg".

    Raises:
        ValueError: the figure has a trace or shape that is not supported.
    """
    style: Any = {
        "font.family": fonts.font_families(figure_texts(figure)),
        "text.parse_math": False,
        "font.size": 13 * POINTS,
        "svg.fonttype": "path",
        "svg.hashsalt": "headlight",
    }
    with mpl.rc_context(style):
        size = (WIDTH / 96, (figure.layout.height or 400) / 96)
        # A figure of square cells is as wide as it is high, and is not to stand far from its edge.
        layout: Any = "compressed" if _is_square(figure.layout) else "constrained"
        canvas = Figure(figsize=size, dpi=192, layout=layout, facecolor=background)
        FigureCanvasAgg(canvas)
        axes = canvas.add_subplot()
        axes.set_facecolor("none")
        _draw_title(figure.layout, axes)
        offsets = bar_offsets([trace for trace in figure.data if trace.type == "bar"])
        for trace in figure.data:
            if trace.type == "heatmap":
                draw_heatmap(trace, axes, background)
            elif trace.type == "scatter":
                draw_scatter(trace, axes)
            elif trace.type == "bar":
                draw_bars(trace, axes, *next(offsets))
            else:
                raise ValueError(f"a still picture of a {trace.type!r} trace is not known")
        _draw_overlays(figure.layout, axes)
        _draw_axis(figure.layout, axes, "x")
        _draw_axis(figure.layout, axes, "y")
        if _has_legend(figure):
            canvas.legend(loc="outside lower left", ncols=4, frameon=False, labelcolor=_text_colour(figure.layout))
        buffer = io.BytesIO()
        canvas.savefig(buffer, format=form, metadata={"Date": None} if form == "svg" else None)
    return buffer.getvalue()


def figure_texts(figure: go.Figure) -> Iterator[str]:
    """All texts in a figure, hover texts included."""
    parts = [figure.to_plotly_json()]
    while parts:
        part = parts.pop()
        if isinstance(part, str):
            yield part
        elif isinstance(part, dict):
            parts += part.values()
        elif isinstance(part, (list, tuple)) or (isinstance(part, np.ndarray) and part.dtype.kind in "OU"):
            parts.extend(part)  # += would add numerically to an array


def _has_legend(figure: go.Figure) -> bool:
    """Whether Plotly draws a legend: where the figure does not say so, one of several named series."""
    if figure.layout.showlegend is not None:
        return bool(figure.layout.showlegend)
    series = [one for one in figure.data if one.type in ("scatter", "bar") and one.name and one.showlegend is not False]
    return len(series) > 1 or any(one.showlegend for one in series)


def _text_colour(layout: Any) -> str:
    """CSS colour of the text of a figure."""
    return str(layout.font.color or "#000")


def _is_square(layout: Any) -> bool:
    """Whether both axes have one scale."""
    return bool(layout.xaxis.scaleanchor or layout.yaxis.scaleanchor)


def _draw_title(layout: Any, axes: Axes) -> None:
    """Draw the title and hide the borders."""
    size = (layout.title.font.size or 16) * POINTS
    axes.title.set_color(
        _text_colour(layout)
    )  # the empty centre title: functions without the layout read the text colour from it
    title: Any = {"color": _text_colour(layout), "size": size, "weight": "bold"}
    if _is_square(layout) and axes.figure is not None:  # which may be less wide than its title
        axes.figure.suptitle(plain_text(layout.title.text), x=0.005, ha="left", **title)
    else:
        axes.set_title(plain_text(layout.title.text), loc="left", pad=12, **title)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(length=0, colors=_text_colour(layout))


def _draw_axis(layout: Any, axes: Axes, name: str) -> None:
    """Draw the title, ticks, labels and grid lines of the x or y axis, and set its range."""
    axis = layout[f"{name}axis"]
    drawn = axes.xaxis if name == "x" else axes.yaxis
    if axis.visible is False:
        drawn.set_visible(False)
    drawn.set_label_text(plain_text(axis.title.text), color=_text_colour(layout))
    if axis.type == "log":
        (axes.set_xscale if name == "x" else axes.set_yscale)("log")
    if axis.tickvals is not None:
        named = [] if axis.ticktext is None else [[plain_text(text) for text in axis.ticktext]]
        drawn.set_ticks(list(axis.tickvals), *named)
    elif axis.dtick is not None and axis.type != "log":
        drawn.set_major_locator(MultipleLocator(axis.dtick))
    if axis.ticktext is None and str(axis.tickformat or "").endswith("%"):
        drawn.set_major_formatter(percent_format(axis.tickformat))
    if axis.tickangle and name == "x":
        slanted: dict[str, Any] = {} if abs(axis.tickangle) == 90 else {"ha": "right", "rotation_mode": "anchor"}
        axes.tick_params(axis="x", rotation=-axis.tickangle)
        for label in axes.get_xticklabels():
            label.set(**slanted)
    for label in drawn.get_ticklabels():
        label.set_fontsize((axis.tickfont.size or 12) * POINTS)
    if axis.showticklabels is False:
        drawn.set_tick_params(labelbottom=False, labelleft=False)
    if axis.showgrid is not False and axis.visible is not False:
        drawn.grid(True, color=css_to_rgba(axis.gridcolor or "#888"), linewidth=0.6)
        axes.set_axisbelow(True)
    low, high = axis.range or (None, None)
    if axis.range is None and axis.rangemode == "tozero":
        low = 0
    (axes.set_xlim if name == "x" else axes.set_ylim)(low, high)
    if axis.scaleanchor:
        axes.set_aspect("equal", adjustable="box")


def _path_segments(path: str) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """End points of the vertical and horizontal lines of an SVG path such as "M0,0V3M0,0H3"."""
    commands = re.findall(r"M([-.\d]+),([-.\d]+)([VH])([-.\d]+)", path)
    lines = [(float(x), float(y), command == "V", float(end)) for x, y, command, end in commands]
    return [((x, y), (x, end) if vertical else (end, y)) for x, y, vertical, end in lines]


def _draw_shape(shape: Any, axes: Axes) -> None:
    """Draw a rectangle, a line or the borders between cells, each in the coordinates that it names."""
    colour = css_to_rgba(shape.line.color or "#000")
    line: Any = {
        "linewidth": (2 if shape.line.width is None else shape.line.width) * POINTS,
        "linestyle": DASHES[shape.line.dash or "solid"],
        "alpha": shape.opacity,
        "zorder": 0.5 if shape.layer == "below" else 5,
        "transform": blended_transform_factory(
            *(
                axes.transAxes if str(ref).endswith(("paper", "domain")) else axes.transData
                for ref in (shape.xref, shape.yref)
            )
        ),
    }
    if shape.type == "rect":
        fill = {"facecolor": css_to_rgba(shape.fillcolor)} if shape.fillcolor else {"fill": False}
        corner, width, height = (shape.x0, shape.y0), shape.x1 - shape.x0, shape.y1 - shape.y0
        axes.add_patch(Rectangle(corner, width, height, edgecolor=colour, **fill, **line))
    elif shape.type == "line":
        axes.add_line(Line2D((shape.x0, shape.x1), (shape.y0, shape.y1), color=colour, solid_capstyle="butt", **line))
    elif shape.type == "path":
        axes.add_collection(LineCollection(_path_segments(shape.path), colors=colour, linewidths=0.7))
    else:
        raise ValueError(f"a still picture of a {shape.type!r} shape is not known")


def _draw_overlays(layout: Any, axes: Axes) -> None:
    """Draw the images, shapes and annotations of a layout."""
    for image in layout.images:
        picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(image.source.split(",", 1)[1]))).convert("RGBA"))
        extent = (image.x, image.x + image.sizex, image.y + image.sizey, image.y)
        axes.imshow(picture, extent=extent, aspect="auto", zorder=0, interpolation="nearest", alpha=image.opacity)
    for shape in layout.shapes:
        _draw_shape(shape, axes)
    for note in layout.annotations:
        axes.text(
            note.x, note.y, plain_text(note.text), size=(note.font.size or 12) * POINTS,
            color=note.font.color or _text_colour(layout), ha=HORIZONTAL_ALIGNMENT[note.xanchor or "center"],
            va=VERTICAL_ALIGNMENT[note.yanchor or "middle"], weight="bold" if "<b>" in note.text else "normal",
            transform=axes.get_xaxis_transform() if note.yref == "paper" else axes.transData,
        )  # fmt: skip
