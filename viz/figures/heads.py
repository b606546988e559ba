"""Heat map of one attention head, and the mosaic of all heads of all layers."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
from PIL import Image

from model.maps.pooling import group_starts, reduce_groups
from model.measures.heads.head_roles import token_positions
from model.trace.attention import Attention
from model.trace.tokens import Tokens
from viz.figures.cell_pooling import pooled_shape
from viz.figures.grid import grid
from viz.figures.linking import key_stack, query_stack, shows
from viz.figures.theme import Palette, Scale, base_layout, colour_indices, escape, rgba_colours, unvalidated_figure
from viz.figures.tiles import MOSAIC_MARGIN, band_numbers, tick_numbers, tile_layout
from viz.language.messages import say

Window = tuple[range, range]  # positions of queries, positions of keys
THUMBNAIL_PIXELS, THUMBNAIL_GAP = 56, 8  # width of a thumbnail, and between two thumbnails


def head_heatmap(
    attention: Attention,
    layer: int,
    head: int,
    palette: Palette,
    *,
    specials: bool = True,
    row: int | None = None,
    window: Window | None = None,
    fit: bool = False,
) -> go.Figure:
    """Heat map of one head's attention weights, query rows from top to bottom, key columns from left to right.

    Masked cells are blank. More than `viz.figures.cell_pooling.MAX_CELLS` cells are max-pooled to a smaller map.

    Args:
        attention: one kind of attention of a trace.
        layer, head: which head, counted from 0.
        palette: colours of the page.
        specials: False leaves out the rows and columns of special tokens.
        row: position of a query to draw a box around.
        window: positions of the queries and keys to draw; None for all.
        fit: as tall as the first screen of a page has room for.

    Returns:
        Weights from 0 to 1; the query and key of each cell are in its hover text.

    Raises:
        IndexError: there is no such layer.
    """
    queries, keys = visible_positions(attention, specials, window)
    full_shape = (len(queries), len(keys))
    shape = pooled_shape(full_shape)
    # A pooled group is labelled by its first and last token: the tokenizer's raw pieces would make that too long.
    name = full_name if shape == full_shape else Tokens.name
    kind = say(f"kinds.{attention.kind}_attention")
    figure = grid(
        attention.pooled(layer, head, queries, keys, shape),
        rows=[attention.query_tokens[i] for i in queries],
        columns=[attention.key_tokens[i] for i in keys],
        row_names=[name(attention.queries, i) for i in queries],
        column_names=[name(attention.keys, i) for i in keys],
        title=say("heads.map_title", attention=kind, layer=attention.layer_index[layer], head=head),
        row_title=say(f"kinds.{attention.kind}_asks"),
        column_title=say(f"kinds.{attention.kind}_asked"),
        unit=say("heads.unit"),
        hover=say("heads.hover"),
        palette=palette,
        limits=(0, 1),
        tickformat=".0%",
        highlight=queries.index(row) if row in queries else None,
        fit=fit,
        focus=(query_stack(attention.kind), queries),
    )
    figure._layout["meta"] |= shows("map", attention, layer=layer, head=head, queries=queries, keys=keys)
    if shape == full_shape:  # a column is a token: for the menu of changes at it (viz/browser/change_menu.js)
        figure._layout["meta"] |= {"columns": {"stack": key_stack(attention.kind), "places": keys}}
    return figure


def visible_positions(attention: Attention, specials: bool, window: Window | None) -> tuple[list[int], list[int]]:
    """Positions of the queries and of the keys that a figure draws.

    Args:
        attention: one kind of attention of a trace.
        specials: False leaves out special tokens.
        window: positions to draw; None for all.
    """
    queries, keys = token_positions(attention.queries, specials), token_positions(attention.keys, specials)
    if window is None:
        return queries, keys
    return [i for i in queries if i in window[0]], [i for i in keys if i in window[1]]


def full_name(tokens: Tokens, position: int) -> str:
    """Name of a token, followed by the tokenizer's raw piece where that differs from the displayed text."""
    name = tokens.name(position)
    raw = tokens.raw[position] if tokens.raw else tokens.texts[position]
    return name if raw == tokens.texts[position] else say("heads.raw", name=name, raw=raw)


@dataclass(frozen=True)
class HeadThumbnails:
    """Thumbnails of all heads of all layers in one image.

    Attributes:
        source: the image as a PNG data URI: a row of thumbnails a layer, a column a head.
        texts: hover text of each head, layer by layer.
    """

    source: str
    texts: tuple[str, ...]


def head_thumbnails(attention: Attention, palette: Palette, characters: Sequence[str] = ()) -> HeadThumbnails:
    """Thumbnails of all heads, max-pooled; hover text has a head's character, largest weight and effective tokens.

    Reads every weight of every layer. Effective tokens are 2 to the mean entropy in bits.

    Args:
        attention: one kind of attention of a trace.
        palette: its sequential scale colours the weights.
        characters: a phrase on each head, layer by layer, "" where it has none.
    """
    step, tiles = THUMBNAIL_PIXELS + THUMBNAIL_GAP, tile_layout(attention.num_layers, attention.num_heads)
    # One byte a pixel: an index into the 255 colours of the scale; index 255 is transparent.
    picture = np.full((tiles.rows * step, tiles.columns * step), 255, np.uint8)
    texts = []
    for layer, overview in enumerate(attention.overviews(THUMBNAIL_PIXELS)):
        for head, thumbnail in enumerate(colour_indices(resize(overview.maps, THUMBNAIL_PIXELS))):
            left, top = tiles.places[layer * attention.num_heads + head] * step + THUMBNAIL_GAP // 2
            picture[top : top + THUMBNAIL_PIXELS, left : left + THUMBNAIL_PIXELS] = thumbnail
            query, key = divmod(int(overview.strongest_cell[head]), len(attention.keys))
            phrase = characters[layer * attention.num_heads + head] if characters else ""
            texts.append(
                say(
                    "heads.thumbnail",
                    layer=attention.layer_index[layer],
                    head=head,
                    query=escape(attention.queries.name(query)),
                    key=escape(attention.keys.name(key)),
                    weight=f"{overview.strongest[head]:.0%}",
                    count=f"{2 ** overview.entropy[head]:.1f}",
                    character=phrase and f" · {escape(phrase)}",
                )
            )
    return HeadThumbnails(indexed_png_uri(picture, palette.sequential), tuple(texts))


def head_mosaic(
    attention: Attention,
    palette: Palette,
    *,
    selected: tuple[int, int] | None = None,
    characters: Sequence[str] = (),
) -> go.Figure:
    """Mosaic of square thumbnails of all heads, as large as `tile_layout` finds.

    The first trace has a marker at each tile, layer by layer: the browser finds the head that is clicked by it.

    Args:
        attention: one kind of attention of a trace.
        palette: colours of the page.
        selected: (layer, head) to draw a box around, for a saved picture.
        characters: a phrase on each head for its hover text, layer by layer.
    """
    thumbnails = head_thumbnails(attention, palette, characters)
    layers, heads = attention.num_layers, attention.num_heads
    tiles = tile_layout(layers, heads)
    around = MOSAIC_MARGIN["t"] + MOSAIC_MARGIN["b"]
    title = say("heads.mosaic_title", attention=say(f"kinds.{attention.kind}_attention"))
    layout = base_layout(title, palette, round(tiles.tile * tiles.rows) + around)
    picture = {"source": thumbnails.source, "xref": "x", "yref": "y", "x": -0.5, "y": -0.5}
    picture |= {"sizex": tiles.columns, "sizey": tiles.rows, "sizing": "stretch", "layer": "below"}
    cells = [(layer, head) for layer in range(layers) for head in range(heads)]
    # Plotly reports nothing on images: invisible square markers over the thumbnails carry the hover text.
    squares = {
        "type": "scatter",
        "x": tiles.places[:, 0].tolist(),
        "y": tiles.places[:, 1].tolist(),
        "customdata": [list(cell) for cell in cells],
        "text": list(thumbnails.texts),
        "mode": "markers",
        "marker": {"symbol": "square", "size": max(int(tiles.tile) - 2, 4), "color": "rgba(0,0,0,0)"},
        "hovertemplate": "%{text}<extra></extra>",
        "showlegend": False,
    }
    axis = {"showgrid": False, "zeroline": False, "showline": False, "fixedrange": True, "automargin": False}
    titles = (say("heads.layer_axis"), say("heads.head_axis"))[:: 1 if tiles.transposed else -1]
    named = (attention.layer_index, range(heads))[:: 1 if tiles.transposed else -1]
    across: dict[str, Any] = {"range": [-0.5, tiles.columns - 0.5], "title": {"text": titles[0], "standoff": 6}}
    across |= tick_numbers(named[0], tiles.bands)
    down: dict[str, Any] = {"range": [tiles.rows - 0.5, -0.5], "title": {"text": titles[1], "standoff": 6}}
    down |= tick_numbers(named[1][: tiles.rows])
    # Tiles are square however wide the page is.
    layout |= {
        "images": [picture],
        "xaxis": layout["xaxis"] | across | axis | {"constrain": "domain", "constraintoward": "left"},
        "yaxis": layout["yaxis"] | down | axis | {"constrain": "domain", "constraintoward": "top", "scaleanchor": "x"},
        "hoverdistance": 60,
        "margin": MOSAIC_MARGIN,
        "meta": {"tiles": {"layers": layers, "heads": heads}, **shows("tiles", attention)},
    }
    if selected is not None:
        x, y = tiles.places[selected[0] * heads + selected[1]].tolist()
        box = {"x0": x - 0.48, "x1": x + 0.48, "y0": y - 0.48, "y1": y + 0.48}
        layout["shapes"] = [{"type": "rect", "line": {"color": palette.second, "width": 3}, **box}]
    return unvalidated_figure([squares, *band_numbers(tiles, attention.layer_index, heads)], layout)


def resize(values: np.ndarray, size: int) -> np.ndarray:
    """Maps of `size` × `size` pixels: shorter sides repeat cells, longer ones are max-pooled.

    Args:
        values: [..., row, column]; NaN only where a whole group is NaN.
        size: pixels of each side.

    Returns:
        [..., size, size]
    """
    for axis in (-2, -1):
        groups = group_starts(values.shape[axis], size)
        values = (reduce_groups if values.shape[axis] > size else np.take)(values, groups, axis)
    return values


def png_uri(pixels: np.ndarray) -> str:
    """PNG data URI of RGBA pixels. uint8 [height, width, 4]"""
    return _data_uri(Image.fromarray(pixels, "RGBA"))


def indexed_png_uri(indices: np.ndarray, scale: Scale) -> str:
    """PNG data URI of indices into a scale, 0 to 254; 255 is transparent. uint8 [height, width]"""
    image = Image.fromarray(indices, "P")
    image.putpalette([*rgba_colours(np.linspace(0, 1, 255), scale)[:, :3].ravel().tolist(), 0, 0, 0])
    return _data_uri(image, transparency=255)


def _data_uri(image: Image.Image, **options: int) -> str:
    """PNG data URI of an image."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=4, **options)  # a third of the default's time for 5 % more bytes
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
