"""Two runs beside each other: both maps and their difference on one alignment, walls of heads, maps of all heads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from model.maps.pooling import at_most
from model.measures.alignment import Pairs
from model.trace.attention import Attention
from model.trace.tokens import Tokens
from viz.figures.grid import grid, numbered, signed_limits, ticks, token_bars
from viz.figures.heads import THUMB, png, resize
from viz.figures.theme import Palette, escape, frame, paint
from viz.language.messages import say

WALL = 168  # pixels of a tile on the wall of heads


@dataclass(frozen=True)
class Axes:
    """What the tokens of two sides are called on a common axis; a token without a partner says whose it is."""

    labels: tuple[str, ...]
    names: tuple[str, ...]


def axes(pairs: Pairs, a: Tokens, b: Tokens) -> Axes:
    """Labels of aligned tokens, with their places where the token repeats."""
    labels, names = [], []
    for i, j in pairs:
        tokens, place = (a, i) if i is not None else (b, j)
        assert place is not None
        side = "" if None not in (i, j) else say("compare.only_a" if j is None else "compare.only_b")
        labels.append(f"{tokens.texts[place]}{side and ' '}{side}")
        names.append(f"{tokens.name(place)}{side and ' '}{side}")
    return Axes(tuple(labels), tuple(names))


def side_map(
    values: np.ndarray,
    rows: Axes,
    columns: Axes,
    kind: str,
    title: str,
    palette: Palette,
    *,
    unit: str,
    limits: tuple[float, float] | None = None,
    side: str,
    tickformat: str | None = None,
) -> go.Figure:
    """One of the three maps, "a", "b" or "difference".

    Args:
        values: [aligned query, aligned key], NaN where there is nothing to show.
    """
    figure = grid(
        values,
        rows=rows.labels,
        columns=columns.labels,
        row_names=rows.names,
        column_names=columns.names,
        title=title,
        row_title=say(f"kinds.{kind}_asks"),
        column_title=say(f"kinds.{kind}_asked"),
        unit=unit,
        bar=side != "a",  # A has the scale of B
        hover=say("compare.hover"),
        palette=palette,
        scale=palette.diverging if side == "difference" else palette.sequential,
        limits=signed_limits(values) if side == "difference" else limits,
        tickformat=tickformat,
        narrow=True,
    )
    # A third of the page is too narrow to give any room away: Plotly finds out how much each map needs.
    figure.update_layout(title_font_size=14, margin_l=8, margin_r=8)
    if not (numbered(columns.labels) or figure.layout.xaxis.tickangle):
        figure.update_layout(xaxis_tickangle=-60)  # and for words that lie flat
    # Three maps share a row: what the first one says of the sides holds for all.
    if side != "a":
        figure.layout.yaxis.title.text = ""
    return figure


def row_divergence(bits: np.ndarray, rows: Axes, palette: Palette) -> go.Figure:
    """How differently the two sides look, query by query. [aligned query], NaN without a partner"""
    return token_bars(
        bits,
        rows.labels,
        palette,
        title=say("compare.rows_title"),
        hover=say("compare.rows_hover"),
        names=rows.names,
        token_title=say("compare.row"),
        axis={"title": say("compare.bits"), "range": [0, max(float(np.nanmax(bits, initial=0.0)) * 1.1, 0.05)]},
        height=300,
    )


def wall(attention: Attention, heads: Sequence[tuple[int, int]], palette: Palette, across: int = 4) -> go.Figure:
    """Up to twelve heads beside each other on one scale, 0 to 100 %."""
    across = min(across, len(heads))
    down = -(-len(heads) // across)
    sides = range(len(attention.queries)), range(len(attention.keys))
    gap, above = 12, 44  # pixels between tiles, and above each for its name
    picture = np.zeros((down * (WALL + above), across * (WALL + gap), 4), np.uint8)
    figure = frame(say("compare.wall_title", kind=say(f"kinds.{attention.kind}")), palette, height=90 + 236 * down)
    for number, (layer, head) in enumerate(heads):
        row, column = divmod(number, across)
        small = attention.drawn(layer, head, *sides, at_most((len(sides[0]), len(sides[1])), WALL))
        tile = paint(resize(small, WALL), palette.sequential)
        top, left = row * (WALL + above) + above - 4, column * (WALL + gap) + gap // 2
        picture[top : top + WALL, left : left + WALL] = tile
        figure.add_annotation(
            x=column,
            y=row - 0.5,
            # In two lines, as four of them stand side by side on a phone.
            text=say("compare.tile", layer=layer, head=head).replace(", ", "<br>"),
            showarrow=False,
            yanchor="top",
        )
    figure.add_layout_image(
        source=png(picture),
        xref="x",
        yref="y",
        x=-0.5,
        y=-0.5,
        sizex=across,
        sizey=down,
        sizing="stretch",
        layer="below",
    )
    _clickable(
        figure,
        [(n % across, n // across) for n in range(len(heads))],
        heads,
        [say("compare.tile", layer=layer, head=head) for layer, head in heads],
    )
    bare = {"visible": False, "fixedrange": True}
    figure.update_layout(xaxis={"range": [-0.5, across - 0.5], **bare}, yaxis={"range": [down - 0.5, -0.5], **bare})
    return figure


def similarity(values: np.ndarray, chosen: tuple[int, int], palette: Palette) -> go.Figure:
    """How alike every head is to the chosen one; a click reports layer and head. [layer, head]"""
    figure = grid(
        values,
        rows=[str(i) for i in range(values.shape[0])],
        columns=[str(i) for i in range(values.shape[1])],
        title=say("compare.similar_title", layer=chosen[0], head=chosen[1]),
        row_title=say("heads.layer_axis"),
        column_title=say("heads.head_axis"),
        unit=say("compare.similarity"),
        hover=say("compare.similar_hover"),
        palette=palette,
        limits=(float(values.min()), 1.0),
    )
    cells = [(layer, head) for layer, head in np.ndindex(values.shape)]
    _clickable(
        figure,
        [(head, layer) for layer, head in cells],
        cells,
        [say("compare.similar_cell", layer=i, head=h, value=f"{values[i, h]:.2f}") for i, h in cells],
    )
    return figure


def head_map(points: np.ndarray, kept: float, chosen: tuple[int, int], palette: Palette) -> go.Figure:
    """Every head as a point; near heads look alike. points: [layer, head, 2]"""
    figure = frame(say("compare.map_title", kept=f"{kept:.0%}"), palette, height=520)
    layers = len(points)
    for layer, heads in enumerate(points):
        mine = np.array([(layer, head) == chosen for head in range(len(heads))])
        red, green, blue, _ = paint(np.array(0.15 + 0.85 * layer / max(layers - 1, 1)), palette.sequential)
        figure.add_scatter(
            x=heads[:, 0].astype(np.float32),
            y=heads[:, 1].astype(np.float32),
            mode="markers+text" if layers * len(heads) <= 80 else "markers",
            text=[f"{layer}/{head}" for head in range(len(heads))],
            textposition="top center",
            textfont={"size": 10},
            customdata=[[layer, head] for head in range(len(heads))],
            marker={
                "size": np.where(mine, 16, 10),
                "color": f"rgb({red},{green},{blue})",
                "line": {"color": np.where(mine, palette.second, palette.forbidden), "width": np.where(mine, 3, 1)},
            },
            hovertemplate=say("compare.map_hover") + "<extra></extra>",
            name=say("layers.layer", layer=layer),
            showlegend=False,
        )
    figure.update_layout(
        xaxis={"title": say("layers.first_axis"), "zeroline": False},
        yaxis={"title": say("layers.second_axis"), "zeroline": False},
    )
    return figure


def states(distance: np.ndarray, columns: Axes, names: Sequence[str], palette: Palette) -> go.Figure:
    """Where two runs part: layers down, aligned tokens across. [layer, aligned token]"""
    return grid(
        distance,
        rows=names,
        columns=columns.labels,
        column_names=columns.names,
        title=say("compare.states_title"),
        row_title=say("layers.depth"),
        column_title=say("layers.token"),
        unit=say("compare.distance"),
        hover=say("compare.states_hover"),
        palette=palette,
        limits=(0, max(float(np.nanmax(distance, initial=0.0)), 1e-6)),
    )


def shares(found: Mapping[str, np.ndarray], labels: Sequence[str], palette: Palette) -> go.Figure:
    """What one token gets from each input token, by several measures. name -> [input token]"""
    figure = frame(say("compare.through_title"), palette, height=380)
    for number, (name, values) in enumerate(found.items()):
        figure.add_bar(
            x=np.arange(len(values)),
            y=values.astype(np.float32),
            marker={"color": palette.lines[number]},
            name=say(f"compare.{name}"),
            text=[escape(label) for label in labels],
            textposition="none",
            hovertemplate=say("compare.through_hover") + "<extra></extra>",
        )
    figure.update_layout(
        xaxis={"tickangle": -60, "showgrid": False, "zeroline": False, **ticks(labels)},
        yaxis={"tickformat": ".0%", "title": say("compare.share")},
        barmode="group",
        showlegend=True,
    )
    return figure


def _clickable(
    figure: go.Figure, places: Sequence[tuple[int, int]], heads: Sequence[tuple[int, int]], texts: Sequence[str]
) -> None:
    """Invisible squares that report which head was clicked: Plotly reports no click on a picture or a heat map."""
    figure.add_scatter(
        x=[x for x, _ in places],
        y=[y for _, y in places],
        customdata=[list(head) for head in heads],
        text=list(texts),
        mode="markers",
        marker={"symbol": "square", "size": THUMB // 2, "color": "rgba(0,0,0,0)"},
        hovertemplate="%{text}<extra></extra>",
        showlegend=False,
    )
