"""Colours, fonts and the frame that every figure shares.

The scales keep a steadily changing lightness, so they survive grey print, colour-blindness and a pale projector.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import plotly.graph_objects as go

from viz.language.messages import isolate

FONT = "Hyperlegible, sans-serif"

Scale = tuple[tuple[float, str], ...]


@dataclass(frozen=True)
class Palette:
    """The colours of one theme.

    Attributes:
        sequential: for what is never negative; zero stands apart from the page, which shows through masked cells.
        diverging: for what has a sign, centred on zero.
        lines: for curves and groups, told apart by lightness too.
    """

    text: str
    faint: str
    page: str
    accent: str
    second: str
    forbidden: str
    sequential: Scale
    diverging: Scale
    lines: tuple[str, ...]


LIGHT = Palette(
    text="#1b2430",
    faint="#c9c4b8",
    page="#fdfcf9",
    accent="#a34a00",
    second="#1d5fa8",
    forbidden="#8a8f98",
    sequential=((0, "#f1ede2"), (0.08, "#fbdf9c"), (0.3, "#f5a53a"), (0.65, "#b64c06"), (1, "#4a1503")),
    diverging=((0, "#123f80"), (0.25, "#6da0d8"), (0.5, "#f4f2ec"), (0.75, "#e08a3c"), (1, "#7a2d02")),
    lines=("#1d5fa8", "#c45a00", "#2f2f4f", "#d99a00", "#5b8fc7", "#7a2d02", "#6b6f76", "#a88a5a"),
)
DARK = Palette(
    text="#eceae4",
    faint="#3d4654",
    page="#10151d",
    accent="#ffc24b",
    second="#7fb5f0",
    forbidden="#6a7280",
    sequential=((0, "#1d2530"), (0.08, "#4d3415"), (0.3, "#a2610f"), (0.65, "#f0a62b"), (1, "#fff3c9")),
    diverging=((0, "#b8dcff"), (0.25, "#3f7fc4"), (0.5, "#1d2530"), (0.75, "#b96a1e"), (1, "#ffe0a3")),
    lines=("#7fb5f0", "#ffc24b", "#e8e4da", "#d97b2a", "#4f83bf", "#fff0c2", "#98a1ad", "#b08d57"),
)


def contrasted(palette: Palette) -> Palette:
    """The same palette with letters and lines as far from the page as they get, for a pale projector."""
    ends = ("#000000", "#ffffff")
    text, page = ends if palette is LIGHT else ends[::-1]
    return replace(palette, text=text, page=page, faint=palette.forbidden)


def frame(title: str, palette: Palette, height: int) -> go.Figure:
    """An empty figure with title, fonts, colours and margins set; the page shows through."""
    return go.Figure(layout=framing(title, palette, height))


# What all figures have in common, in place of Plotly's own template: seven kilobytes that each of them would carry.
# Margins grow with the labels, so none runs over; looking for those that do takes a quarter of the time to draw.
_AXIS = {"automargin": True, "ticklabeloverflow": "allow", "ticks": "", "title": {"standoff": 15}, "zerolinewidth": 2}
TEMPLATE: dict[str, Any] = {
    "layout": {"hovermode": "closest", "hoverlabel": {"align": "left"}, "xaxis": _AXIS, "yaxis": _AXIS},
    "data": {"heatmap": [{"type": "heatmap", "colorbar": {"outlinewidth": 0, "ticks": ""}}]},
}


def framing(title: str, palette: Palette, height: int) -> dict[str, Any]:
    """The layout of `frame`, for figures that are made at once: Plotly takes longer over each later change."""
    grid = {"gridcolor": palette.faint, "zerolinecolor": palette.faint, "linecolor": palette.faint, "automargin": True}
    return {
        "template": TEMPLATE,
        "title": {"text": title, "x": 0, "xanchor": "left", "y": 0.985, "yanchor": "top", "font": {"size": 16}},
        "font": {"family": FONT, "size": 13, "color": palette.text},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "hoverlabel": {"font": {"family": FONT, "size": 14}, "bgcolor": palette.page, "bordercolor": palette.accent},
        "margin": {"l": 8, "r": 8, "t": 44, "b": 8},
        "height": height,
        "xaxis": grid,
        "yaxis": grid,
        "colorway": palette.lines,
        "legend": {"orientation": "h", "y": -0.3, "yanchor": "top", "x": 0},
        "dragmode": False,
    }


TYPES = ("f4", "f8", "i4", "u1")  # arrays of others are left to Plotly


class Ready(go.Figure):  # type: ignore[misc]  # Plotly has no types
    """A figure that is sent as it was made.

    Plotly's own way copies all of it and asks of each array whether it could be a data frame: half the time of a click.
    """

    def to_dict(self) -> dict[str, Any]:
        """Data and layout, arrays as Plotly's typed ones; parts are shared with the figure."""
        sent: dict[str, Any] = _typed({"data": self._data, "layout": self._layout})
        return sent


def _typed(part: Any) -> Any:
    """A part of a figure with its arrays as their bytes."""
    if isinstance(part, dict):
        return {name: _typed(inner) for name, inner in part.items()}
    if isinstance(part, (list, tuple)):
        return [_typed(inner) if isinstance(inner, (dict, np.ndarray)) else inner for inner in part]
    if not isinstance(part, np.ndarray) or part.dtype.str[1:] not in TYPES:
        return part
    bytes_of = base64.b64encode(np.ascontiguousarray(part).tobytes()).decode()
    shape = {"shape": ", ".join(map(str, part.shape))} if part.ndim > 1 else {}
    return {"dtype": part.dtype.str[1:], "bdata": bytes_of} | shape


def made(data: Sequence[Mapping[str, Any]], layout: Mapping[str, Any]) -> go.Figure:
    """A figure made without asking Plotly whether each of its properties exists, which takes nine tenths of the time.

    A test asks for every figure of every page. Titles of axes must be written as {"text": ...}.
    """
    return Ready(data, layout, _validate=False)


def enlarged(figure: go.Figure, times: float) -> go.Figure:
    """The same figure with larger letters and taller, for the last row of a classroom."""
    large = go.Figure(figure)
    large.layout = _grown(figure.layout.to_plotly_json(), times)
    for trace in large.data:
        drawn = trace.to_plotly_json()
        trace.update(_grown({name: drawn[name] for name in ("textfont", "colorbar") if name in drawn}, times))
    large.layout.height = round((figure.layout.height or 450) * (1 + times) / 2)
    return large


def _grown(part: Any, times: float) -> Any:
    if isinstance(part, dict):
        fonts = {name: {**font, "size": font["size"] * times} for name, font in part.items() if _sized(name, font)}
        return {name: fonts.get(name) or _grown(inner, times) for name, inner in part.items()}
    return [_grown(one, times) for one in part] if isinstance(part, (list, tuple)) else part


def _sized(name: str, part: Any) -> bool:
    return name.endswith("font") and "size" in part


def colour_bar(title: str, tickformat: str | None = None) -> dict[str, object]:
    """A slim colour bar with its unit."""
    return {
        "title": {"text": title, "side": "right", "font": {"size": 12}},
        "thickness": 10,
        "outlinewidth": 0,
        "tickfont": {"size": 11},
    } | ({"tickformat": tickformat} if tickformat else {})


def escape(text: str) -> str:
    """Text that Plotly shows as it is, instead of reading tags in it."""
    return isolate(text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))


def shorten(text: str, longest: int = 14) -> str:
    """Text cut to at most `longest` letters, with an ellipsis where it was cut."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def paint(values: np.ndarray, scale: Scale) -> np.ndarray:
    """Colours of values between 0 and 1; NaN is transparent. [...] -> uint8 [..., 4]"""
    stops = np.array([stop for stop, _ in scale])
    rgb = np.array([[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for _, colour in scale])
    blank = np.isnan(values)
    filled = np.clip(np.nan_to_num(values), 0, 1)
    channels = [np.interp(filled, stops, rgb[:, channel]) for channel in range(3)]
    return np.stack([*channels, np.where(blank, 0, 255)], axis=-1).round().astype(np.uint8)


def shades(values: np.ndarray) -> np.ndarray:
    """Values between 0 and 1 in 255 steps, a byte each; NaN is 255. [...] -> uint8 [...]"""
    return np.nan_to_num(values.clip(0, 1) * 254, nan=255).round().astype(np.uint8)
