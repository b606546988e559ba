"""Palettes, colour scales, fonts and the base layout that all figures share.

The lightness of each scale changes monotonically, so it survives grey print, colour-blindness and pale projectors.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import plotly.graph_objects as go

from viz.figures.figure_parts import parts
from viz.language.messages import isolate_rtl

FONT = "Hyperlegible, sans-serif"

Scale = tuple[tuple[float, str], ...]


@dataclass(frozen=True)
class Palette:
    """The colours of one theme.

    Attributes:
        text, page: of letters, and of the background.
        faint: grid lines and what is in the background.
        accent, second: what a figure shows, and what is selected in it.
        forbidden: what the mask forbids.
        sequential: scale of values that are never negative; zero differs from the page, which shows in masked cells.
        diverging: scale of signed values, centred on zero.
        lines: of curves and groups, which differ in lightness too.
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


# Pixels of a figure that stands with its reading in the first screen, and what bars of large type leave of them.
FIRST_SCREEN, PROJECTOR_ROOM = 440, 380
TITLE_ROOM = 32  # pixels that a figure's title takes above it


def untitled_figure(figure: go.Figure) -> go.Figure:
    """The same figure without its title and the room for it, for a page whose heading says the same."""
    layout = dict(figure._layout)
    layout["margin"] = layout["margin"] | {"t": layout["margin"]["t"] - TITLE_ROOM}
    layout["height"] -= TITLE_ROOM
    layout["title"] = {}
    return unvalidated_figure(figure._data, layout)


def high_contrast(palette: Palette) -> Palette:
    """A theme's palette with black and white for text and page, for a pale projector."""
    ends = ("#000000", "#ffffff")
    text, page = ends if palette is LIGHT else ends[::-1]
    return replace(palette, text=text, page=page, faint=palette.forbidden)


def base_figure(title: str, palette: Palette, height: int) -> go.Figure:
    """Empty figure with the base layout; height in pixels."""
    return go.Figure(layout=base_layout(title, palette, height))


# Replaces Plotly's default template, 7 KB that every figure would carry. Margins grow with the labels, so overflow is
# allowed: hiding labels that overflow takes a quarter of the time to draw.
_AXIS = {"automargin": True, "ticklabeloverflow": "allow", "ticks": "", "title": {"standoff": 15}, "zerolinewidth": 2}
TEMPLATE: dict[str, Any] = {
    "layout": {"hovermode": "closest", "hoverlabel": {"align": "left"}, "xaxis": _AXIS, "yaxis": _AXIS},
    "data": {"heatmap": [{"type": "heatmap", "colorbar": {"outlinewidth": 0, "ticks": ""}}]},
}


def base_layout(title: str, palette: Palette, height: int) -> dict[str, Any]:
    """Plotly layout with title, fonts, colours, margins and a transparent background; height in pixels.

    For figures that are built in one step: Plotly takes longer over each later change.
    """
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


ENCODED_DTYPES = ("f4", "f8", "i4", "i2", "i1", "u1")  # arrays of other dtypes are left to Plotly


class UnvalidatedFigure(go.Figure):  # type: ignore[misc]  # Plotly has no types
    """A figure whose Plotly objects are made when something asks for them, serialized without copies and checks.

    Plotly makes an object of each trace and axis, which takes 5 ms of a click for each figure; its own `to_dict` copies
    the figure and checks whether each array is a data frame, which took half the time of a click. What is only drawn
    needs neither.
    """

    def __init__(self, data: Any = None, layout: Any = None, *others: Any, **options: Any) -> None:
        plain = isinstance(data, Sequence) and isinstance(layout, Mapping) and not others
        self._made = not plain
        if plain:
            self._data, self._layout = [_own(trace) for trace in data], _own(layout)
        else:  # a copy, for instance
            super().__init__(data, layout, *others, **options)

    def __getattr__(self, name: str) -> Any:
        """What Plotly's constructor sets, which runs now; called for attributes that are not there."""
        if self.__dict__.get("_made", True):
            raise AttributeError(name)
        self._made = True
        super().__init__(self._data, self._layout, _validate=False)
        return getattr(self, name)

    def to_dict(self) -> dict[str, Any]:
        """Data and layout with arrays in Plotly's base64 encoding; parts are shared with the figure."""
        encoded: dict[str, Any] = _encoded({"data": self._data, "layout": self._layout})
        return encoded


def _own(part: Any) -> Any:
    """A copy of a part of a figure without properties that are None, as Plotly's objects keep it; arrays are shared."""
    if isinstance(part, Mapping):
        return {
            name: inner if name == "customdata" else dict(inner) if name == "meta" else _own(inner)
            for name, inner in part.items()
            if inner is not None
        }
    return [_own(inner) if isinstance(inner, Mapping) else inner for inner in part] if isinstance(part, list) else part


def figure_meta(figure: go.Figure) -> dict[str, Any]:
    """What `layout.meta` says of a figure, {} where it says nothing; Plotly's objects are not made for it."""
    meta: dict[str, Any] = parts(figure).layout.meta or {}
    return meta


def _encoded(part: Any) -> Any:
    """A part of a figure with its arrays in Plotly's base64 encoding."""
    if isinstance(part, dict):
        return {name: _encoded(inner) for name, inner in part.items()}
    if isinstance(part, (list, tuple)):
        return [_encoded(inner) if isinstance(inner, (dict, np.ndarray)) else inner for inner in part]
    if not isinstance(part, np.ndarray) or part.dtype.str[1:] not in ENCODED_DTYPES:
        return part
    bytes_of = base64.b64encode(np.ascontiguousarray(part).tobytes()).decode()
    shape = {"shape": ", ".join(map(str, part.shape))} if part.ndim > 1 else {}
    return {"dtype": part.dtype.str[1:], "bdata": bytes_of} | shape


def unvalidated_figure(data: Sequence[Mapping[str, Any]], layout: Mapping[str, Any]) -> go.Figure:
    """Figure whose properties Plotly does not validate, which would take nine tenths of the time to build it.

    A test validates every figure of every page. Axis titles must be written as {"text": ...}.

    Args:
        data: traces.
        layout: of the figure.
    """
    return UnvalidatedFigure(data, layout, _validate=False)


def enlarged_figure(figure: go.Figure, times: float) -> go.Figure:
    """Copy of a figure for a projector: fonts `times` as large; what fits in the first screen still does."""
    layout = _with_scaled_fonts(figure._layout, times)
    traces = [
        trace | _with_scaled_fonts({name: trace[name] for name in ("textfont", "colorbar") if name in trace}, times)
        for trace in figure._data
    ]
    height, room = figure._layout.get("height"), figure_meta(figure).get("projector_height")
    if room:
        layout["height"] = min(height, room)
    elif (height or 0) <= FIRST_SCREEN:
        layout["height"] = min(height or 450, PROJECTOR_ROOM)
    return unvalidated_figure(traces, layout | _enlarged_titles(layout, times))


def _enlarged_titles(layout: dict[str, Any], times: float) -> dict[str, Any]:
    """Titles of a figure and its axes in the room that larger labels leave, and the legend below them."""
    changed: dict[str, Any] = {}
    base = layout.get("font", {}).get("size", 13 * times)
    if "font" in layout.get("title", {}):
        font = layout["title"]["font"]  # has one line, however narrow the figure: half as much larger as the others
        changed["title"] = layout["title"] | {"font": font | {"size": font["size"] * (1 + times) / (2 * times)}}
    if (layout.get("legend") or {}).get("y", 0) < 0:
        changed["legend"] = layout["legend"] | {"y": times * layout["legend"]["y"]}
    for name in ("xaxis", "yaxis"):
        title = layout.get(name, {}).get("title")
        if not isinstance(title, dict) or not title.get("text"):
            continue
        font = {"size": base} | title.get("font", {})  # Plotly's own is a fifth larger
        margin = layout.get("margin", {})
        high = (layout.get("height") or 450) - margin.get("t", 0) - margin.get("b", 0)
        long = name == "yaxis" and 0.45 * font["size"] * len(title["text"]) > high + 16 and "<br>" not in title["text"]
        text = two_line_title(title["text"]) if long else title["text"]
        changed[name] = layout[name] | {"title": title | {"font": font, "text": text}}
    return changed


def two_line_title(title: str) -> str:
    """A title broken at the space nearest to its middle; unchanged where it has none."""
    spaces = [place for place, letter in enumerate(title) if letter == " "]
    middle = min(spaces, key=lambda place: abs(2 * place - len(title)), default=len(title))
    return f"{title[:middle]}<br>{title[middle + 1 :]}" if spaces else title


def _with_scaled_fonts(part: Any, times: float) -> Any:
    """A part of a figure with all font sizes multiplied by `times`."""
    if isinstance(part, dict):
        fonts = {
            name: {**font, "size": font["size"] * times} for name, font in part.items() if _is_sized_font(name, font)
        }
        return {name: fonts.get(name) or _with_scaled_fonts(inner, times) for name, inner in part.items()}
    return [_with_scaled_fonts(one, times) for one in part] if isinstance(part, (list, tuple)) else part


def _is_sized_font(name: str, part: Any) -> bool:
    """Whether a property of a figure is a font that has a size."""
    return name.endswith("font") and "size" in part


def colour_bar(title: str, tickformat: str | None = None) -> dict[str, object]:
    """Plotly settings of a slim colour bar; title: the unit; tickformat: Plotly format of the values."""
    return {
        "title": {"text": title, "side": "right", "font": {"size": 12}},
        "thickness": 10,
        "outlinewidth": 0,
        "tickfont": {"size": 11},
        "ticklabeloverflow": "allow",  # else a bar that ends near the edge of a narrow figure has no "100%"
    } | ({"tickformat": tickformat} if tickformat else {})


def escape(text: str) -> str:
    """Text with <, > and & escaped, which Plotly would read as tags, and right-to-left letters isolated."""
    return isolate_rtl(text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))


def shorten(text: str, longest: int = 14) -> str:
    """Text of at most `longest` letters, an ellipsis in place of what is cut off."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def rgba_colours(values: np.ndarray, scale: Scale) -> np.ndarray:
    """RGBA colours of values between 0 and 1 on a scale; NaN is transparent. [...] -> uint8 [..., 4]"""
    stops = np.array([stop for stop, _ in scale])
    rgb = np.array([[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for _, colour in scale])
    blank = np.isnan(values)
    filled = np.clip(np.nan_to_num(values), 0, 1)
    channels = [np.interp(filled, stops, rgb[:, channel]) for channel in range(3)]
    return np.stack([*channels, np.where(blank, 0, 255)], axis=-1).round().astype(np.uint8)


def colour_indices(values: np.ndarray) -> np.ndarray:
    """Values between 0 and 1 as indices from 0 to 254 into a colour table; NaN is 255. [...] -> uint8 [...]"""
    return np.nan_to_num(values.clip(0, 1) * 254, nan=255).round().astype(np.uint8)
