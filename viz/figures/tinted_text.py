"""A text with what one token looks at shaded, and what looks at it underlined; its steps for the browser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import plotly.graph_objects as go

from model.arrays.types import Array
from model.tokenization.text_layout import PlacedToken
from model.trace.tokens import Tokens
from viz.figures.theme import Palette, base_figure, colour_bar, escape
from viz.language.messages import say

COLUMNS = 96  # letters of a line
LINE_HEIGHT = 22  # pixels
MARGIN = 7  # columns at the left, where something stands before a line
# What else than the underline a token may bear: how far below its letters, in lines, how broad, how drawn.
MARKS: Mapping[str, Sequence[tuple[float, float, str]]] = {
    "copied": [(0.34, 1.5, "dot")],
    "strand": [(-0.5, 4, "solid")],
    "helix": [(-0.5, 4, "dot")],
    "joined": [(0.46, 1, "solid"), (0.58, 1, "solid")],
}
STEPS = 255  # of a row's largest weight, in which the browser gets it
REST_SHARE = 0.3  # mean weight on the first token from which on it is a place to rest
MIN_SCALE = 0.02  # a weight below is never drawn in full, however little a token looks at any word
MIN_UNDERLINE = 0.1  # of the largest weight of whoever looks


@dataclass(frozen=True, eq=False)
class TextMap:
    """Weights between the tokens of one text, or from one text to another.

    Attributes:
        weights: of a head, a mean of heads, or a rollout; 0 where masked. float32 [query, key]
        queries, keys: the tokens of both sides.
        stacks: "encoder" or "decoder" of the queries, and of the keys; the same text where they are equal.
    """

    weights: Array
    queries: Tokens
    keys: Tokens
    stacks: tuple[str, str]

    @cached_property
    def rests(self) -> Array:
        """Keys where attention rests: special tokens, and the first where much of it all goes there. bool [key]"""
        found = np.array(self.keys.special, bool)
        if len(found) and self.weights[:, 0].mean() > REST_SHARE:
            found[0] = True
        return found

    @cached_property
    def scales(self) -> Array:
        """The largest weight of each query on keys that are no resting place, at least `MIN_SCALE`. float32 [query]"""
        words = np.where(self.rests, 0, self.weights)
        return words.max(axis=1, initial=0).clip(MIN_SCALE).astype(np.float32)

    def rested(self) -> Array:
        """The share of each query's attention that rests. float32 [query]"""
        return self.weights[:, self.rests].sum(axis=1).astype(np.float32)

    def steps(self) -> Array:
        """Weights in steps of each row's scale. uint8 [query, key]"""
        return (STEPS * self.weights / self.scales[:, None]).clip(0, STEPS).round().astype(np.uint8)


@dataclass(frozen=True)
class TextSide:
    """One text as it is drawn.

    Attributes:
        name: of it; placed: its tokens in their places; stack: of them; copied: those that stand in another text, too.
        margin: what stands before the lines that begin with a token, in a figure.
        pale: tokens of little weight, in a figure.
        marked: of proteins, the tokens of each mark, by its name in `MARKS`.
    """

    name: str
    placed: Sequence[PlacedToken]
    stack: str
    copied: frozenset[int] = frozenset()
    margin: Mapping[int, str] = field(default_factory=dict)
    pale: frozenset[int] = frozenset()
    marked: Mapping[str, frozenset[int]] = field(default_factory=dict)


def tinted_text(sides: Sequence[TextSide], found: TextMap, row: int, title: str, palette: Palette) -> go.Figure:
    """The texts in lines, shaded by one query's weights; tokens that look at the same token are underlined.

    Args:
        sides: the texts, one below the other.
        found: the weights.
        row: position of the query in focus; where both sides are one text, it is also the key that others look at.
        title: of the figure.
    """
    tint = np.nan_to_num(found.weights[row])
    cells, words, lines = [], [], _Lines()
    for side in sides:
        if len(sides) > 1:
            words.append((0.0, float(lines.heading()), f"<b>{escape(side.name)}</b>"))
        lines.begin(side)
        for place, one in enumerate(side.placed):
            start, line = lines.place(lines.with_margin(one, side.margin.get(place)))
            if place in side.margin:
                words.append((0.0, float(line), escape(side.margin[place])))
            width = max(len(one.shown.strip("\n")), 1)
            if side.stack == found.stacks[1]:
                cells.append((line, start, width, float(tint[place])))
            if one.shown.strip():
                shown = escape(one.shown)
                words.append((start - 0.4, float(line), f"<i>{shown}</i>" if place in side.pale else shown))
            lines.mark(side, place, (start, width, line))
            underline = side.stack == found.stacks[0] == found.stacks[1]
            if underline and found.weights[place, row] > MIN_UNDERLINE * found.scales[place] and place != row:
                lines.underlined.append((start - 0.4, start + width - 0.6, line + 0.42))
            if side.stack == found.stacks[0] and place == row:
                lines.focus = (start, width, line)
        lines.end()
    return _figure(cells, words, lines, title, palette)


def lines_of(placed: Sequence[PlacedToken]) -> list[int]:
    """The line of each token in the figure of its text alone, from 0."""
    lines = _Lines()
    return [lines.place(one)[1] for one in placed]


class _Lines:
    """Where the next token stands, in columns and lines; what is underlined, and which token is in focus."""

    def __init__(self) -> None:
        self.column = self.line = self.left = 0
        self.height = 1  # of a line, in lines
        self.marked: dict[str, list[tuple[float, float, float]]] = {name: [] for name in MARKS}
        self.underlined: list[tuple[float, float, float]] = []
        self.focus: tuple[int, int, int] | None = None

    def begin(self, side: TextSide) -> None:
        """Begin a text, behind the margin where it has one; what bears marks above gets room for them."""
        self.left, self.height = MARGIN if side.margin else 0, 2 if side.marked else 1
        self.column = self.left

    def with_margin(self, one: PlacedToken, margin: str | None) -> PlacedToken:
        """A token as it is placed: on a line of its own, where something stands before it."""
        if margin is None:
            return one
        if self.column > self.left:
            self.column, self.line = self.left, self.line + self.height
        return replace(one, before="")

    def mark(self, side: TextSide, place: int, at: tuple[int, int, int]) -> None:
        """Keep what a token bears beside its underline. at: its first column, width and line"""
        start, width, line = at
        for name, places in {"copied": side.copied, **side.marked}.items():
            if place in places:
                self.marked[name].append((start - 0.4, start + width - 0.6, line))

    def place(self, one: PlacedToken) -> tuple[int, int]:
        """Column and line of a token's first letter."""
        for letter in one.before:
            self._advance(letter)
        if self.column + len(one.shown) > COLUMNS and self.column > self.left:
            self.column, self.line = self.left, self.line + self.height
        place = self.column, self.line
        for letter in one.shown or " ":
            self._advance(letter)
        return place

    def heading(self) -> int:
        """The line of a heading, which it takes."""
        self.line += 1
        return self.line - 1

    def end(self) -> None:
        """End a text, with an empty line after it."""
        self.column, self.line, self.left = 0, self.line + 2, 0

    def _advance(self, letter: str) -> None:
        new = self.left, self.line + self.height
        self.column, self.line = new if letter == "\n" else (self.column + 1, self.line)


def _figure(
    cells: Sequence[tuple[int, int, int, float]],
    words: Sequence[tuple[float, float, str]],
    lines: _Lines,
    title: str,
    palette: Palette,
) -> go.Figure:
    """The figure of cells (line, column, width, weight) and words (column, line, text)."""
    height = max(lines.line - 1, 1)
    z = np.full((height, COLUMNS), np.nan, np.float32)
    for line, start, width, weight in cells:
        z[line, start : start + width] = weight
    top = float(np.nanmax(z)) if np.isfinite(z).any() else 1.0
    tint = ",".join(str(int(palette.accent[i : i + 2], 16)) for i in (1, 3, 5))
    figure = base_figure(title, palette, height=LINE_HEIGHT * height + 80)
    figure.add_heatmap(
        z=z,
        zmin=0,
        zmax=top or 1.0,
        colorscale=[[0, f"rgba({tint},0)"], [1, f"rgba({tint},0.55)"]],
        colorbar=colour_bar(say("heads.unit"), ".0%"),
        hoverinfo="skip",
    )
    x, y, texts = zip(*words, strict=True) if words else ((), (), ())
    font: dict[str, Any] = {"family": "monospace", "size": 12, "color": palette.text}
    quiet = {"hoverinfo": "skip", "showlegend": False}
    figure.add_scatter(x=x, y=y, text=texts, mode="text", textposition="middle right", textfont=font, **quiet)
    ends = [at for start, end, line in lines.underlined for at in _segment(start, end, line)]
    ruled = {"color": palette.second, "width": 2}
    figure.add_scatter(x=[at for at, _ in ends], y=[at for _, at in ends], mode="lines", line=ruled, **quiet)
    _draw_marks(figure, lines, palette)
    if lines.focus:
        start, width, line = lines.focus
        box = {"x0": start - 0.5, "x1": start + width - 0.5, "y0": line - 0.5, "y1": line + 0.5}
        figure.add_shape(type="rect", line={"color": palette.second, "width": 2}, **box)
    hidden = {"visible": False, "fixedrange": True}
    figure.update_layout(
        xaxis={"range": [-0.5, COLUMNS - 0.5], **hidden}, yaxis={"range": [height - 0.5, -0.5], **hidden}
    )
    return figure


def _draw_marks(figure: go.Figure, lines: _Lines, palette: Palette) -> None:
    """Add the lines of what tokens bear beside their underline."""
    for name, rulers in MARKS.items():
        for below, width, dash in rulers if lines.marked[name] else ():
            ends = [at for start, end, line in lines.marked[name] for at in _segment(start, end, line + below)]
            colour = palette.second if name in ("strand", "helix") else palette.text
            ruled = {"color": colour, "width": width, "dash": dash}
            x, y = [at for at, _ in ends], [at for _, at in ends]
            figure.add_scatter(x=x, y=y, mode="lines", line=ruled, name=name, hoverinfo="skip", showlegend=False)


def _segment(start: float, end: float, line: float) -> list[tuple[float | None, float | None]]:
    return [(start, line), (end, line), (None, None)]
