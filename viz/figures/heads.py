"""Heads: all of them as one picture, one of them as a map."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from PIL import Image

from model.maps.pooling import farthest, starts
from model.measures.head_roles import shown
from model.trace.attention import Attention
from model.trace.tokens import Tokens
from viz.figures.grid import grid, small_shape
from viz.figures.theme import Palette, escape, framing, made, paint, shades
from viz.language.messages import say

Window = tuple[range, range]  # of queries and of keys
THUMB, GAP = 56, 8  # pixels of a thumbnail and between two
MOSAIC_MARGIN = {"l": 56, "r": 8, "t": 44, "b": 58}  # pixels; a page lays the box of the chosen head over the figure


def head_heatmap(
    attention: Attention,
    layer: int,
    head: int,
    palette: Palette,
    *,
    specials: bool = True,
    row: int | None = None,
    window: Window | None = None,
) -> go.Figure:
    """One head's weights: who asks from top to bottom, who is asked from left to right; masked cells stay blank.

    Args:
        specials: False leaves out the rows and columns of special tokens.
        row: position of a query to draw a box around.
        window: which queries and keys to draw; all where not said.
    """
    queries, keys = within(attention, specials, window)
    whole = (len(queries), len(keys))
    drawn = small_shape(whole)
    # A group of tokens goes by its first and last, without the pieces as the tokenizer writes them.
    name = full_name if drawn == whole else Tokens.name
    return grid(
        attention.drawn(layer, head, queries, keys, drawn),
        rows=[attention.query_tokens[i] for i in queries],
        columns=[attention.key_tokens[i] for i in keys],
        row_names=[name(attention.queries, i) for i in queries],
        column_names=[name(attention.keys, i) for i in keys],
        title=say("heads.map_title", attention=say(f"kinds.{attention.kind}_attention"), layer=layer, head=head),
        row_title=say(f"kinds.{attention.kind}_asks"),
        column_title=say(f"kinds.{attention.kind}_asked"),
        unit=say("heads.unit"),
        hover=say("heads.hover"),
        palette=palette,
        limits=(0, 1),
        tickformat=".0%",
        highlight=queries.index(row) if row in queries else None,
    )


def within(attention: Attention, specials: bool, window: Window | None) -> tuple[list[int], list[int]]:
    """The positions of the queries and keys that are drawn."""
    queries, keys = shown(attention.queries, specials), shown(attention.keys, specials)
    if window is None:
        return queries, keys
    return [i for i in queries if i in window[0]], [i for i in keys if i in window[1]]


def full_name(tokens: Tokens, place: int) -> str:
    """A token's name, and the piece as its tokenizer writes it where that differs."""
    name = tokens.name(place)
    raw = tokens.raw[place] if tokens.raw else tokens.texts[place]
    return name if raw == tokens.texts[place] else say("heads.raw", name=name, raw=raw)


@dataclass(frozen=True)
class Thumbnails:
    """All heads of all layers as one picture.

    Attributes:
        source: the picture as a data URI; texts: what hovering over a head says, layer by layer.
    """

    source: str
    texts: tuple[str, ...]


def thumbnails(attention: Attention, palette: Palette) -> Thumbnails:
    """Every head's map, small, and its strongest weight and entropy in words; looks at every weight there is."""
    step = THUMB + GAP
    # A byte a pixel: the scale in 255 steps, and the last number for what is transparent.
    picture = np.full((attention.num_layers * step, attention.num_heads * step), 255, np.uint8)
    texts = []
    for layer, seen in enumerate(attention.overviews(THUMB)):
        for head, small in enumerate(shades(resize(seen.maps, THUMB))):
            top, left = layer * step + GAP // 2, head * step + GAP // 2
            picture[top : top + THUMB, left : left + THUMB] = small
            query, key = divmod(int(seen.place[head]), len(attention.keys))
            texts.append(
                say(
                    "heads.thumbnail",
                    layer=layer,
                    head=head,
                    query=escape(attention.queries.name(query)),
                    key=escape(attention.keys.name(key)),
                    weight=f"{seen.strongest[head]:.0%}",
                    entropy=f"{seen.entropy[head]:.1f}",
                )
            )
    return Thumbnails(shaded_png(picture, palette), tuple(texts))


def head_mosaic(attention: Attention, palette: Palette, *, selected: tuple[int, int] | None = None) -> go.Figure:
    """All heads of all layers as one picture; a click on a thumbnail reports its customdata (layer, head).

    Args:
        selected: a head to draw a box around. A page draws it over the figure, which then stays as it is.
    """
    seen, layers, heads = thumbnails(attention, palette), attention.num_layers, attention.num_heads
    height = int(max(min(92, 1100 / layers) * layers, 160)) + MOSAIC_MARGIN["t"] + MOSAIC_MARGIN["b"]
    layout = framing(say("heads.mosaic_title", attention=say(f"kinds.{attention.kind}_attention")), palette, height)
    picture = {"source": seen.source, "xref": "x", "yref": "y", "x": -0.5, "y": -0.5, "sizex": heads, "sizey": layers}
    # Plotly reports no click on an image; invisible squares over the thumbnails do the reporting.
    squares = {
        "type": "scatter",
        "x": [head for _ in range(layers) for head in range(heads)],
        "y": [layer for layer in range(layers) for _ in range(heads)],
        "customdata": [[layer, head] for layer in range(layers) for head in range(heads)],
        "text": list(seen.texts),
        "mode": "markers",
        "marker": {"symbol": "square", "size": 36, "color": "rgba(0,0,0,0)"},
        "hovertemplate": "%{text}<extra></extra>",
        "showlegend": False,
    }
    bare = {"showgrid": False, "zeroline": False, "fixedrange": True, "tickmode": "array", "automargin": False}
    across = {"range": [-0.5, heads - 0.5], "title": {"text": say("heads.head_axis")}, "tickvals": list(range(heads))}
    down = {"range": [layers - 0.5, -0.5], "title": {"text": say("heads.layer_axis")}, "tickvals": list(range(layers))}
    layout |= {
        "images": [picture | {"sizing": "stretch", "layer": "below"}],
        "xaxis": layout["xaxis"] | across | bare,
        "yaxis": layout["yaxis"] | down | bare,
        "hoverdistance": 60,
        "margin": MOSAIC_MARGIN,
    }
    if selected is not None:
        layer, head = selected
        box = {"x0": head - 0.48, "x1": head + 0.48, "y0": layer - 0.48, "y1": layer + 0.48}
        layout["shapes"] = [{"type": "rect", "line": {"color": palette.second, "width": 3}, **box}]
    return made([squares], layout)


def resize(values: np.ndarray, size: int) -> np.ndarray:
    """Maps as `size` × `size` pixels: cells repeated where one is smaller, the largest kept where it is bigger.

    [..., row, column] -> [..., size, size]
    """
    for axis in (-2, -1):
        groups = starts(values.shape[axis], size)
        values = (farthest if values.shape[axis] > size else np.take)(values, groups, axis)
    return values


def png(picture: np.ndarray) -> str:
    """uint8 [height, width, 4] as a data URI."""
    return _data_uri(Image.fromarray(picture, "RGBA"))


def shaded_png(picture: np.ndarray, palette: Palette) -> str:
    """Numbers along the sequential scale, 0 to 254, 255 for transparent, as a data URI. uint8 [height, width]"""
    image = Image.fromarray(picture, "P")
    image.putpalette([*paint(np.linspace(0, 1, 255), palette.sequential)[:, :3].ravel().tolist(), 0, 0, 0])
    return _data_uri(image, transparency=255)


def _data_uri(image: Image.Image, **options: int) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=4, **options)  # a third of the usual time, a twentieth more bytes
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
