"""The whole model as one picture, from the tokens at the bottom to the next token at the top, drawn from a run."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

from model.trace.boxes.stack import CROSS_ATTENTION
from model.trace.boxes.stack_summary import StackSummary
from viz.figures.heads import indexed_png_uri, resize
from viz.figures.theme import (
    TITLE_ROOM,
    Palette,
    Scale,
    base_layout,
    colour_indices,
    escape,
    shorten,
    unvalidated_figure,
)
from viz.figures.whole_boxes import Box, boxes, end_norms, joints, upper_edge
from viz.figures.whole_layout import BAR, GAP, GUTTER, HEADER, LABEL, WholeModel, layout
from viz.language.messages import say

MOST_LABELS, TILE_PIXELS = 40, 28
FADED = 0.2  # opacity of what a box would have computed that is left out of the run
NARROWEST = 20  # units of a token's label; where tokens are narrower, not each has one


def whole_model(model: WholeModel, palette: Palette, table: tuple[Box, ...] | None = None) -> go.Figure:
    """The picture of a model with a sentence in it.

    `layout.meta` holds the boxes as `viz/browser/whole.js` shows and plays them, and where each token stands in each.

    Args:
        model: what is drawn; palette: colours of the page.
        table: its boxes where they are at hand; None to work them out.
    """
    table = boxes(model) if table is None else table
    drawing = _Drawing(model, palette)
    for box in table:
        drawing.draw(box)
    for stack in model.stacks:
        drawing.around(stack, [box for box in table if box.stack == stack])
    drawing.memory(table)
    places = layout(model)
    made = base_layout(say("whole.title"), palette, round(places.height) + TITLE_ROOM)
    axis = {"visible": False, "fixedrange": True, "showgrid": False, "zeroline": False}
    made |= {
        "xaxis": made["xaxis"] | axis | {"range": [0, places.width]},
        "yaxis": made["yaxis"] | axis | {"range": [places.height, 0]},
        "images": drawing.images,
        "shapes": drawing.shapes,
        "annotations": drawing.notes,
        "margin": {"l": 0, "r": 0, "t": TITLE_ROOM, "b": 0},
        "meta": {
            "focus": drawing.marks,
            "boxes": [_for_browser(box, drawing.sources.get(box.name, "")) for box in table],
        },
        "showlegend": False,
    }
    return unvalidated_figure(drawing.lines, made)


def _for_browser(box: Box, source: str) -> dict[str, Any]:
    """A box as the browser gets it. source: its picture as a PNG data URI"""
    place = {"x": list(box.x), "y": list(box.y)}
    words = {"title": box.title, "note": box.note, "text": box.sentence}
    return {
        "name": box.name,
        "kind": box.kind,
        "stack": box.stack,
        "layer": box.layer,
        "image": source,
        **place,
        **words,
    }


class _Drawing:
    """The parts of the figure, collected box by box."""

    def __init__(self, model: WholeModel, palette: Palette) -> None:
        self.model, self.palette = model, palette
        self.images: list[dict[str, Any]] = []
        self.shapes: list[dict[str, Any]] = []
        self.notes: list[dict[str, Any]] = []
        self.lines: list[dict[str, Any]] = []
        self.marks: list[dict[str, Any]] = []
        self.sources: dict[str, str] = {}
        self.faded = False  # whether what is drawn now is left out of the run

    def draw(self, box: Box) -> None:
        """One box with its picture and words."""
        summary = self.model.stacks[box.stack]
        if box.kind != "output":
            self._rectangle(box.x, box.y, self.palette.accent if box.left_out else self.palette.faint, 1, box.left_out)
        if box.kind == "embedding":
            self._strip(box, summary.embedding, signed=True)
            self._text(box.x[0], box.y[1] + LABEL / 2, box.title, size=11, left=True) if not self._labels(box) else None
        elif box.kind == "positions":
            if summary.positions is not None:
                self._strip(box, summary.positions, signed=True)
            self._text(box.x[0], box.y[1] + LABEL / 2, box.title, size=11, left=True)
        elif box.kind == "folded":
            assert box.layer is not None
            self._strip(box, summary.layer_share[box.layer][:, None], signed=False, tall=box.y[1] - box.y[0] > 12)
            if box.y[1] - box.y[0] > 12:
                words = say("whole.layer", layer=box.layer) + (" ✕" if box.left_out else "")  # its strip is beside it
                self._text(box.x[0] + 4, sum(box.y) / 2, words, size=11, left=True)
        elif box.kind == "output":
            self._bars(box)
        else:
            self._block(box, summary)

    def _block(self, box: Box, summary: StackSummary) -> None:
        """A block of the open layer: its name, what it adds, and its heads or neurons."""
        self._text(box.x[0] + 5, box.y[0] + 8, f"<b>{escape(box.title)}</b>", size=12, left=True)
        self._text(box.x[1] - 5, box.y[0] + 8, box.note, size=11, left=False)
        room, self.faded = (box.y[0] + HEADER, box.y[1] - 3), box.left_out
        maps = self.model.tiles.get(box.attention) if box.attention else None
        block = summary.layers[box.layer or 0][box.block or 0] if box.block is not None else None
        if maps is not None:
            self._tiles(box, maps, room)
        elif block is not None and block.neurons is not None:
            self._strip(box, block.neurons, signed=False, y=room)
        elif block is not None and block.experts is not None:
            self._strip(box, _chosen(*block.experts), signed=False, y=room)
        elif block is not None:
            self._strip(box, block.share[:, None], signed=False, y=room)
        self.faded = False

    def _tiles(self, box: Box, maps: np.ndarray, room: tuple[float, float]) -> None:
        """Small maps of all heads, in as many rows as lets them be largest; a token's rows are marked across them."""
        high, wide = room[1] - room[0] + 2, box.x[1] - box.x[0] - 8
        sizes = {rows: min(wide / -(-len(maps) // rows), high / rows) for rows in range(1, len(maps) + 1)}
        rows = max(sizes, key=sizes.__getitem__)
        step, columns = sizes[rows], -(-len(maps) // rows)
        tiles = np.full((rows * columns, TILE_PIXELS + 2, TILE_PIXELS + 2), 255, np.uint8)  # transparent
        tiles[: len(maps), :-2, :-2] = colour_indices(resize(maps, TILE_PIXELS))
        picture = tiles.reshape(rows, columns, *tiles.shape[1:]).transpose(0, 2, 1, 3).reshape(rows * len(tiles[0]), -1)
        x = (box.x[0] + 5, box.x[0] + 5 + step * columns)
        top = room[0] + (high - step * rows) / 2
        self._image(box.name, picture, self.palette.sequential, x, (top, top + step * rows))
        share = TILE_PIXELS / (TILE_PIXELS + 2)
        for row in range(rows):
            self._mark_tokens(box.stack, x, (top + step * row, top + step * (row + share)), "y")

    def _strip(
        self, box: Box, values: np.ndarray, signed: bool, y: tuple[float, float] | None = None, tall: bool = True
    ) -> None:
        """Vectors of tokens side by side: a token is a column. values: [token, number]"""
        largest = max(float(np.quantile(np.abs(values), 0.99)), 1e-12)
        shares = values / largest
        scale: Scale = self.palette.diverging if signed else self.palette.sequential
        indices = colour_indices((shares + 1) / 2 if signed else shares)
        picture = indices.T.repeat(max(240 // len(values), 1), axis=1)
        left = box.x[0] + (70 if box.kind == "folded" and tall else 5 if box.block is not None else 0)
        x, y = (left, box.x[1] - (5 if box.block is not None else 0)), y or box.y
        self._image(box.name, picture, scale, x, y)
        self._mark_tokens(box.stack, x, y)

    def _image(
        self, name: str, picture: np.ndarray, scale: Scale, x: tuple[float, float], y: tuple[float, float]
    ) -> None:
        """A picture stretched over a rectangle. picture: indices into a scale, as `indexed_png_uri`"""
        source = indexed_png_uri(np.ascontiguousarray(picture), scale)
        self.sources[name] = source
        place = {"x": x[0], "y": y[0], "sizex": x[1] - x[0], "sizey": y[1] - y[0]}
        place |= {"opacity": FADED} if self.faded else {}
        self.images.append({"source": source, "xref": "x", "yref": "y", "sizing": "stretch", "layer": "below"} | place)

    def _mark_tokens(self, stack: str, x: tuple[float, float], y: tuple[float, float], axis: str = "x") -> None:
        """Where the tokens of a stack stand in a rectangle: side by side ("x"), or one under the other ("y")."""
        along, across = (x, y) if axis == "x" else (y, x)
        count = len(self.model.tokens[stack])
        step = (along[1] - along[0]) / count
        places = list(range(count))
        at = [along[0] + step * (place + 0.5) for place in places]
        mark = {"axis": axis, "stack": stack, "at": at, "places": places, "half": step / 2, "span": list(across)}
        self.marks.append(mark | {"still": True})

    def _labels(self, box: Box) -> bool:
        """The tokens under the embedding; False where they are too many."""
        texts = self.model.tokens[box.stack].texts
        if len(texts) > MOST_LABELS:
            return False
        wide = (box.x[1] - box.x[0]) / len(texts)
        every = int(np.ceil(NARROWEST / wide))
        for place, text in list(enumerate(texts))[::every]:
            label = escape(shorten(text, max(int(every * wide / 6.5), 2)))
            self._text(box.x[0] + wide * (place + 0.5), box.y[1] + LABEL / 2, label, size=11)
        return True

    def _bars(self, box: Box) -> None:
        """The likeliest next tokens as bars, the one that is written lit."""
        left, full = box.x[0] + 90, box.x[1] - box.x[0] - 140
        for index, (label, chance) in enumerate(self.model.candidates):
            middle = box.y[0] + BAR * (index + 0.5)
            colour = self.palette.accent if index == self.model.written else self.palette.forbidden
            ends = [left, left + max(full * chance, 1.0)]
            bar = {"color": colour, "width": BAR - 5}
            self.lines.append(
                {"type": "scatter", "mode": "lines", "x": ends, "y": [middle, middle], "line": bar, "hoverinfo": "skip"}
            )
            self._text(left - 6, middle, escape(shorten(label)), size=12, left=False)
            self._text(ends[1] + 5, middle, f"{chance:.0%}", size=11, left=True)

    def around(self, stack: str, table: list[Box]) -> None:
        """The frame of the open layer, the line of the residual stream, and the names of joints and stack."""
        inner = [box for box in table if box.block is not None or box.kind == "unknown"]
        x, top = table[0].x, min(upper_edge(box) for box in table if box.kind != "output")
        self._rectangle(x, (upper_edge(inner[-1]), inner[0].y[1] + 6), self.palette.forbidden, 1)
        for index, text in enumerate(joints(self.model, stack)):
            y = inner[0].y[1] + 2 if index == 0 else inner[index - 1].y[0] - GAP / 2
            if text and index:
                self._text((x[0] + x[1]) / 2, y, f"▲ {text}", size=10)
        ends, middle = end_norms(self.model, stack), (x[0] + x[1]) / 2
        first = min(box.y[0] for box in table if box.kind in ("embedding", "positions"))
        for end, y in (("embedding", first - LABEL / 2), ("final", top - GAP / 2)):
            if end in ends:
                self._text(middle, y, f"▲ {ends[end]}", size=10)
        layer = say("whole.open", layer=self.model.open[stack], last=len(self.model.stacks[stack].layers) - 1)
        self._text(x[0] + 6, inner[-1].y[0] - GAP - HEADER / 2 + 3, layer, size=11, left=True)
        line = x[0] - GUTTER / 2
        self._arrow([(line, table[0].y[0]), (line, top)], 3)
        for box in inner:
            if box.reads is not None:  # beside another: its input passes by what stands between
                start, by, middle_y = inner[box.reads].y[1] + 3, box.x[1] + 3, sum(box.y) / 2
                self._arrow([(box.x[1] - 20, start), (by, start), (by, middle_y), (box.x[1], middle_y)], 1)
        if len(self.model.stacks) > 1:
            self._text(x[0], top - 9, f"<b>{say(f'kinds.{stack}')}</b>", size=13, left=True)

    def memory(self, table: tuple[Box, ...]) -> None:
        """The arrows from the encoder's last state to every layer of the decoder that asks for it."""
        encoder = [box for box in table if box.stack == "encoder"]
        askers = [box for box in table if box.stack == "decoder" and self._asks_encoder(box)]
        if not askers or not encoder:
            return
        last = encoder[-1]
        start, height = last.x[1], sum(last.y) / 2
        beside = start < askers[0].x[0] - GUTTER
        if beside:
            turn = min(box.x[0] for box in askers) - 2 * GUTTER
            self._text(start + 4, height - 8, say("whole.memory"), size=11, left=True)
        else:
            turn = start + GUTTER / 2
            self._text(start, last.y[0] - 9, say("whole.memory"), size=11, left=False)
        for box in askers:
            end = sum(box.y) / 2
            path = [(start, height), (turn, height), (turn, end), (box.x[0] if beside else box.x[1], end)]
            self._arrow(path, 3 if box.block is not None else 1)

    def _asks_encoder(self, box: Box) -> bool:
        """Whether a box, or one in a folded layer, is an encoder-decoder attention."""
        folded = box.layer is not None and box.kind == "folded"
        inside = self.model.stacks[box.stack].layers[box.layer or 0] if folded else ()
        return CROSS_ATTENTION in (box.kind, *(block.kind for block in inside))

    def _arrow(self, path: list[tuple[float, float]], width: float) -> None:
        """A line through some points, with a head at the last."""
        before, tip = np.array(path[-2:])
        along = (tip - before) / np.hypot(*(tip - before)) * (3 + width)
        across = 0.7 * along[::-1] * (1, -1)
        points = np.array([*path, tip - along + across, tip, tip - along - across])
        line = {"color": self.palette.second, "width": width}
        ends = {"x": points[:, 0].tolist(), "y": points[:, 1].tolist(), "line": line}
        self.lines.append({"type": "scatter", "mode": "lines", "hoverinfo": "skip", **ends})

    def _rectangle(
        self, x: tuple[float, float], y: tuple[float, float], colour: str, width: float, dashed: bool = False
    ) -> None:
        line = {"color": colour, "width": width, "dash": "dash" if dashed else "solid"}
        self.shapes.append({"type": "rect", "x0": x[0], "x1": x[1], "y0": y[0], "y1": y[1], "line": line})

    def _text(self, x: float, y: float, text: str, *, size: int, left: bool | None = None) -> None:
        """A text that begins (left), ends (not left) or stands in the middle (None) at a point."""
        anchor = "center" if left is None else "left" if left else "right"
        self.notes.append(
            {
                "x": x,
                "y": y,
                "text": text,
                "showarrow": False,
                "xanchor": anchor,
                "yanchor": "middle",
                "font": {"size": size},
            }
        )


def _chosen(ids: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """How much each token is sent to each expert. [token, chosen] -> [token, expert]"""
    found = np.zeros((len(ids), int(ids.max()) + 1), np.float32)
    np.put_along_axis(found, ids, weights, axis=1)
    return found
