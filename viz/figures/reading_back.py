"""What a figure shows, read back from its data and axes, against what it should show."""

from __future__ import annotations

import base64
import io
import json
import math
import re
import struct
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from PIL import Image

from model.trace.attention import Attention
from viz.figures.cell_pooling import pooling_starts
from viz.figures.figure_parts import Part, parts
from viz.figures.grid import MAX_BORDERED
from viz.figures.heads import THUMBNAIL_GAP, THUMBNAIL_PIXELS
from viz.figures.lines import MAX_LINES, MIN_WEIGHT, WEIGHT_STEP
from viz.figures.theme import escape, figure_meta, shorten
from viz.figures.tiles import TileLayout, tile_layout
from viz.figures.tinted_text import STEPS as TINTS

Maps = Callable[[int], np.ndarray]  # a layer's expected weights, [head, query, key] or pooled to a small picture
WRONG = math.inf  # of a picture that stands on its head, has other labels, or shows another head
STEPS, COARSE = 254, 8  # colours of a tile, and how many are one in a large map that the browser is sent


def drawn_error(
    figure: go.Figure,
    attention: Attention,
    expected: Maps,
    tiles: Maps,
    chosen: tuple[int, int] | None = None,
    *,
    labelled: bool = True,
) -> float | None:
    """Largest difference between the weights in a figure and the expected ones; None where it draws no weights.

    Args:
        attention: one kind of attention of the run, for labels and masks.
        expected: weights of a layer, every query and key; tiles: those of all heads, pooled as tiles are.
        chosen: layer and head that the page says it shows; None where the figure says it alone.
        labelled: False where the rows are not named by the tokens that ask.

    Returns:
        A difference of weights, or infinity where rows, labels or heads are not those that they should be.
    """
    shown, drawn = figure_meta(figure).get("shows"), parts(figure)
    if not shown or shown["kind"] != attention.kind:
        return None
    if shown["what"] == "tiles":
        return _tiles_error(drawn, attention, tiles)
    layer, head = int(shown["layer"]), int(shown["head"])
    if chosen is not None and (layer, head) != chosen:
        return WRONG
    queries, keys = list(shown["queries"]), list(shown["keys"])
    weights = expected(layer)[head][np.ix_(queries, keys)]
    names = [attention.query_tokens[i] for i in queries], [attention.key_tokens[i] for i in keys]
    if shown["what"] == "map":
        return _map_error(drawn, weights, names, labelled=labelled)
    return _lines_error(drawn, weights, names, labelled=labelled)


def message_error(
    message: bytes, layer: int, expected: Maps, names: tuple[Sequence[str], Sequence[str]]
) -> float | None:
    """Largest difference between the maps that the browser was sent and the expected ones; None where they are pooled.

    Args:
        message: as `viz.sections.heads.head_view.message` makes it; layer: that the page shows.
        names: of the tokens that ask, and of those that are asked.
    """
    (length,) = struct.unpack("<I", message[:4])
    header = json.loads(message[4 : 4 + length])
    queries, keys = header["places"]
    if not queries:
        return None
    written = [[side[i] for i in places] for side, places in zip(names, (queries, keys), strict=True)]
    cells = np.frombuffer(zlib.decompress(message[4 + length :]), np.uint8, offset=4 * (STEPS + 2))
    weights = expected(layer)[:, queries][:, :, keys]
    if header["layer"] != layer or header["names"] != written or cells.size != weights.size:
        return WRONG
    cells = cells.reshape(weights.shape)
    step = COARSE if cells[0].size > MAX_BORDERED**2 else 0.5
    error = np.where(cells == 255, weights, np.abs(cells / STEPS - weights)).max(initial=0.0)
    return max(float(error) - step / STEPS, 0.0)


def text_error(message: bytes, expected: np.ndarray, names: Sequence[Sequence[str]]) -> float:
    """Largest difference between the weights that a tinted text shows and the expected ones.

    Args:
        message: as `viz.widgets.tinted_text.message` makes it; expected: weights, 0 where masked. [query, key]
        names: of the tokens that ask, and of those that are asked.
    """
    (length,) = struct.unpack("<I", message[:4])
    header = json.loads(message[4 : 4 + length])
    numbers, count = zlib.decompress(message[4 + length :]), len(expected)
    if header["names"] != [list(side) for side in names] or len(numbers) != 8 * count + expected.size:
        return WRONG
    scales = np.frombuffer(numbers, np.float32, count)[:, None]
    shown = np.frombuffer(numbers, np.uint8, offset=8 * count).reshape(expected.shape) / TINTS * scales
    rests = np.array(header["rests"], bool)  # these may be darker than any word, and are drawn as the darkest
    error = np.abs(shown - np.where(rests, np.minimum(expected, scales), expected)) - 0.5 / TINTS * scales
    return max(float(error.max(initial=0.0)), 0.0)


def _map_error(
    figure: Part, weights: np.ndarray, names: tuple[Sequence[str], Sequence[str]], *, labelled: bool
) -> float:
    """The error of a heat map. names: labels of the rows and of the columns"""
    cells = np.asarray(figure.data[0].z, dtype=np.float64)
    starts = pooling_starts(weights.shape)
    if cells.shape != tuple(map(len, starts)) or not weights.size:
        return WRONG if cells.size or weights.size else 0.0
    for axis, first in enumerate(starts):
        weights = np.maximum.reduceat(weights, first, axis=axis)
    layout = figure.layout
    if not (falls(layout.yaxis2.range) and falls(layout.yaxis.range) and not falls(layout.xaxis2.range)):
        return WRONG  # the first query stands at the bottom, or the first key on the right
    sides = ((layout.yaxis, names[0], starts[0]), (layout.xaxis, names[1], starts[1]))
    if labelled and not all(has_labels(axis, side, first) for axis, side, first in sides):
        return WRONG
    return float(np.where(np.isnan(cells), weights, np.abs(cells - weights)).max())


def cells_error(figure: go.Figure, expected: np.ndarray, names: Sequence[str], longest: int = 14) -> float:
    """Largest difference between the cells of a heat map and other numbers, as a share of the largest of them.

    Args:
        expected: what the cells should be, NaN where blank, [row, column]; the figure may pool neighbours.
        names: labels of the rows, of at most so many letters.
    """
    cells = np.asarray(figure.data[0].z)
    layout = figure.layout
    rows, columns = pooling_starts(expected.shape) if cells.shape != expected.shape else map(np.arange, expected.shape)
    if cells.shape != (len(rows), len(columns)):
        return WRONG
    upright = falls(layout.yaxis2.range) and falls(layout.yaxis.range) and not falls(layout.xaxis2.range)
    if not upright or not has_labels(layout.yaxis, names, rows, longest):
        return WRONG
    signed = bool(np.nanmin(expected, initial=0.0) < 0)
    wanted = _pooled(_pooled(expected.astype(np.float64), rows, 0, signed), columns, 1, signed)
    if (np.isnan(wanted) != np.isnan(cells)).any():
        return WRONG
    if cells.dtype.kind == "i":  # in percent of the end of the colours; what is beyond stays at the end of the range
        inside = np.abs(cells) < np.iinfo(cells.dtype).max - 1
        # Each cell was rounded by half a percent at most, which bounds the factor from both sides.
        size, known = np.abs(cells[inside].astype(np.float64)), np.abs(wanted[inside]).clip(1e-30)
        factor = float((((size - 0.5) / known).max(initial=0.0) + ((size + 0.5) / known).min(initial=np.inf)) / 2)
        return max(float(np.abs(cells - wanted * factor)[inside].max(initial=0.0)) / 100 - 0.0055, 0.0)
    return float(np.nanmax(np.abs(cells - wanted), initial=0.0)) / max(
        float(np.nanmax(np.abs(wanted), initial=0.0)), 1e-9
    )


def _pooled(values: np.ndarray, starts: np.ndarray, axis: int, signed: bool) -> np.ndarray:
    """The strongest of each group of neighbours; NaN where all are."""
    if len(starts) == values.shape[axis]:
        return values
    high = np.fmax.reduceat(values, starts, axis=axis)
    low = np.fmin.reduceat(values, starts, axis=axis)
    return np.where(-low > high, low, high) if signed else high


def falls(limits: Sequence[float]) -> bool:
    """Whether the first number of an axis is at its upper or right end."""
    return limits[0] > limits[1]


def has_labels(axis: Any, names: Sequence[str], starts: np.ndarray, longest: int = 14) -> bool:
    """Whether each label that is written on an axis, of at most so many letters, is that of its token."""
    return all(
        0 <= round(at) < len(starts)
        and re.sub(r"</?b>", "", text) == escape(shorten(names[starts[round(at)]], longest))
        for at, text in zip(axis.tickvals, axis.ticktext, strict=True)
    )


def _lines_error(
    figure: Part, weights: np.ndarray, names: tuple[Sequence[str], Sequence[str]], *, labelled: bool
) -> float:
    """The error of a line diagram: each line joins a query to a key whose weight its width stands for."""
    limits, lines = figure.layout.yaxis.range, figure.layout.meta["shows"]
    if not falls(limits):
        return WRONG
    span, counts = float(lines["span"]), weights.shape
    drawn, error = np.zeros(counts, bool), 0.0
    for trace in figure.data:
        if trace.mode == "text":
            if labelled and not _texts_fit(trace, names, span):
                return WRONG
            continue
        low = (float(trace.line.width) - 1) / 6
        x, y = np.reshape(trace.x, (-1, 3)), np.reshape(trace.y, (-1, 3))
        if not ((x[:, 0] == 0) & (x[:, 1] == 1)).all():
            return WRONG
        places = [np.rint(y[:, side] * counts[side] / span - 0.5).astype(int) for side in (0, 1)]
        if any((place < 0).any() or (place >= count).any() for place, count in zip(places, counts, strict=True)):
            return WRONG
        found = weights[places[0], places[1]]
        error = max(error, float(np.maximum(low - found, found - low - WEIGHT_STEP).max(initial=0.0)))
        drawn[places[0], places[1]] = True
    missing = weights[~drawn]
    if drawn.sum() < MAX_LINES and missing.size:  # all lines above the least weight are drawn
        error = max(error, float(missing.max()) - MIN_WEIGHT)
    return error


def _texts_fit(trace: Any, names: tuple[Sequence[str], Sequence[str]], span: float) -> bool:
    """Whether each label beside the lines is that of the token at its height."""
    for x, y, text in zip(trace.x, trace.y, trace.text, strict=True):
        side = names[0] if x < 0.5 else names[1]
        if y < 0:  # the titles of the columns
            continue
        place = round(float(y) * len(side) / span - 0.5)
        plain = re.sub(r"</?b>", "", text)
        if not 0 <= place < len(side) or plain != escape(shorten(side[place], 12)):
            return False
    return True


def _tiles_error(figure: Part, attention: Attention, tiles: Maps) -> float:
    """The error of the picture of all heads: each tile shows its head, at its place and the right way up."""
    layers, heads = attention.num_layers, attention.num_heads
    lie = tile_layout(layers, heads)
    layout, picture = figure.layout, figure.layout.images[0]
    step = THUMBNAIL_PIXELS + THUMBNAIL_GAP
    pixels = picture_pixels(picture.source)
    placed = [picture.x, picture.y, picture.sizex, picture.sizey] == [-0.5, -0.5, lie.columns, lie.rows]
    ranges = list(layout.xaxis.range) == [-0.5, lie.columns - 0.5] and list(layout.yaxis.range) == [
        lie.rows - 0.5,
        -0.5,
    ]
    if not placed or not ranges or pixels.shape != (lie.rows * step, lie.columns * step):
        return WRONG
    if not _numbers_fit(figure, lie, (attention.layer_index, range(heads))):
        return WRONG
    cells = figure.data[0]
    order = [(layer, head) for layer in range(layers) for head in range(heads)]
    if [tuple(cell) for cell in cells.customdata] != order or len(cells.text) != len(order):
        return WRONG
    error = 0.0
    for (layer, head), at, text, x, y in zip(order, lie.places.tolist(), cells.text, cells.x, cells.y, strict=True):
        if [int(number) for number in re.findall(r"\d+", text)[:2]] != [attention.layer_index[layer], head]:
            return WRONG
        if [x, y] != at:
            return WRONG
        weights = np.asarray(tiles(layer)[head], np.float64)
        left, top = (place * step + THUMBNAIL_GAP // 2 for place in at)
        tile = pixels[top : top + THUMBNAIL_PIXELS, left : left + THUMBNAIL_PIXELS]
        down, across = (np.arange(THUMBNAIL_PIXELS) * count // THUMBNAIL_PIXELS for count in weights.shape)
        wanted = weights[np.ix_(down, across)]
        differs = np.where(tile == 255, wanted, np.abs(tile / STEPS - wanted))
        error = max(error, float(differs.max()))
    return max(error - 0.5 / STEPS, 0.0)


def _numbers_fit(figure: Part, lie: TileLayout, names: tuple[Sequence[int], Sequence[int]]) -> bool:
    """Whether each number beside the tiles is that of its layer or head. names: the numbers of layers and of heads"""
    layers, heads = names
    of_layer, of_head = (0, 1) if lie.transposed else (1, 0)  # which coordinate of a tile tells its layer, and its head
    expected: tuple[dict[int, str], dict[int, str]] = ({}, {})
    before: dict[tuple[int, int], str] = {}  # numbers that stand before the first tile of a layer
    for number, (x, y) in enumerate(lie.places.tolist()):
        layer, head = divmod(number, len(heads))
        expected[of_layer].setdefault((x, y)[of_layer], str(layers[layer]))
        expected[of_head][(x, y)[of_head]] = str(heads[head])
        if head == 0:
            before[x - 1, y] = str(layers[layer])
    axes = zip((figure.layout.xaxis, figure.layout.yaxis), expected, strict=True)
    ticks = [(at, text, wanted) for axis, wanted in axes for at, text in zip(axis.tickvals, axis.ticktext, strict=True)]
    beside = [(x, y, text) for one in figure.data[1:] for x, y, text in zip(one.x, one.y, one.text, strict=True)]
    return all(wanted.get(round(at)) == text for at, text, wanted in ticks) and all(
        before.get((x, y)) == text for x, y, text in beside
    )


def picture_pixels(source: str) -> np.ndarray:
    """Colour indices of a picture's pixels, [row, column], or RGBA [row, column, 4], from its data URI. uint8"""
    image = Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2])))
    return np.asarray(image)
