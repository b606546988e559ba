"""A program as text with arcs in its gutter, and how well heads follow what belongs together."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from model.measures.structure.linked_tokens import Followed
from model.tokenization.text_layout import PlacedToken
from viz.figures.theme import Palette, base_figure
from viz.figures.tinted_text import TextMap, TextSide, lines_of, tinted_text
from viz.language.messages import say

GUTTER = 14  # letters wide
NEAREST = 0.15  # of the gutter: the depth of an arc within a line
POINTS = 13  # of an arc, in the figure


@dataclass(frozen=True)
class Arc:
    """One link: its query, its right keys, and whether the head follows it."""

    query: int
    keys: tuple[int, ...]
    followed: bool


def _ends(arc: Arc, lines: Sequence[int], tallest: int) -> tuple[float, float, float]:
    """Upper and lower end in lines, and depth from 0 to 1."""
    first, last = sorted((lines[arc.keys[0]], lines[arc.query]))
    depth = NEAREST + (1 - NEAREST) * (last - first) / max(tallest, 1)
    return (first - 0.25, last + 0.25, NEAREST) if first == last else (float(first), float(last), depth)


def _tallest(arcs: Sequence[Arc], lines: Sequence[int]) -> int:
    return max((abs(lines[arc.keys[0]] - lines[arc.query]) for arc in arcs), default=1)


def gutter_arcs(arcs: Sequence[Arc], placed: Sequence[PlacedToken]) -> str:
    """The arcs of a text whose lines are not broken, as JSON for `viz/browser/tinted_text.js`.

    Returns:
        {"lines": their number, "arcs": [[tokens, followed, SVG path]]}; one unit is a line down, the gutter across.
    """
    lines, line = [], 0
    for one in placed:
        line += one.before.count("\n")
        lines.append(line)
        line += one.shown.count("\n")
    tallest, made = _tallest(arcs, lines), []
    for arc in arcs:
        first, last, depth = _ends(arc, lines, tallest)
        x = 1 - 4 / 3 * min(depth, 0.75)  # a curve reaches three quarters of the way to its handles
        path = f"M1 {first + 0.5:.2f}C{x:.3f} {first + 0.5:.2f} {x:.3f} {last + 0.5:.2f} 1 {last + 0.5:.2f}"
        made.append([[arc.query, *arc.keys], arc.followed, path])
    return json.dumps({"lines": line + 1, "arcs": made})


def program_text(
    side: TextSide, found: TextMap, row: int, arcs: Sequence[Arc], title: str, palette: Palette
) -> go.Figure:
    """A program shaded by one token's weights, with arcs at its left: drawn where a head follows, dotted where not."""
    figure = tinted_text([side], found, row, title, palette)
    lines = lines_of(side.placed)
    tallest = _tallest(arcs, lines)
    for followed in (True, False):
        x: list[float | None] = []
        y: list[float | None] = []
        for arc in arcs:
            if arc.followed == followed:
                first, last, depth = _ends(arc, lines, tallest)
                steps = np.linspace(0, np.pi, POINTS)
                x += [*(-1 - (GUTTER - 2) * depth * np.sin(steps)).tolist(), None]
                y += [*((first + last) / 2 - (last - first) / 2 * np.cos(steps)).tolist(), None]
        name = say("program.followed" if followed else "program.missed")
        line = {"color": palette.accent if followed else palette.forbidden, "width": 2 if followed else 1}
        if not followed:
            line["dash"] = "dot"
        figure.add_scatter(x=x, y=y, mode="lines", line=line, name=name, hoverinfo="skip", showlegend=False)
    figure.update_xaxes(range=[-GUTTER - 0.5, figure.layout.xaxis.range[1]])
    return figure


def relation_bars(
    found: Mapping[str, Followed], names: Mapping[str, str], head: tuple[int, int], palette: Palette
) -> go.Figure:
    """For each relation the share of links that this head, the best head and the best fixed offset follow.

    Args:
        names: of the relations.
        head: layer and head on screen.
    """
    relations = list(found)
    rows = np.arange(len(relations))
    figure = base_figure(say("program.bars_title"), palette, height=90 * len(relations) + 150)
    counts = {
        "program.this_head": [one.hits[head] for one in found.values()],
        "program.best_head": [one.hits.max() for one in found.values()],
        "program.best_offset": [one.offset_hits for one in found.values()],
    }
    totals = [one.total for one in found.values()]
    colours = (palette.second, palette.accent, palette.forbidden)
    for (name, hits), colour in zip(counts.items(), colours, strict=True):
        texts = [say("program.count", hits=hit, total=total) for hit, total in zip(hits, totals, strict=True)]
        figure.add_bar(
            x=np.array(hits, np.float32) / np.array(totals, np.float32),
            y=rows,
            orientation="h",
            name=say(name),
            marker={"color": colour},
            text=texts,
            textposition="none",
            hovertemplate="%{text}, %{x:.0%}<extra>%{fullData.name}</extra>",
        )
    ticks = {"tickmode": "array", "tickvals": rows.tolist(), "ticktext": [names[one] for one in relations]}
    figure.update_layout(
        barmode="group",
        xaxis={"range": [0, 1], "tickformat": ".0%", "title": {"text": say("program.share")}},
        yaxis={"range": [len(relations) - 0.5, -0.5], "showgrid": False, **ticks},
    )
    return figure
