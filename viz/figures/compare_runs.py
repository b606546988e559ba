"""Figures that compare two runs: aligned heat maps and their difference, distances of states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from model.measures.alignment import AlignedPairs
from model.trace.tokens import Picture, Tokens
from viz.figures.grid import all_numeric, grid, signed_limits, token_bars
from viz.figures.margins import width
from viz.figures.pictures import patch_overlay
from viz.figures.theme import Palette, colour_bar, escape, shorten
from viz.language.messages import say


@dataclass(frozen=True)
class AlignedLabels:
    """Labels of the aligned tokens of two runs; a token without a partner is marked with its run.

    Attributes:
        labels: of the axis.
        names: of the hover text, with the positions of repeated tokens.
    """

    labels: tuple[str, ...]
    names: tuple[str, ...]


def aligned_labels(pairs: AlignedPairs, a: Tokens, b: Tokens) -> AlignedLabels:
    """Labels for a common axis of two token sequences.

    Args:
        pairs: positions in both sequences; None where a token has no partner.
        a, b: tokens of the two runs.
    """
    labels, names = [], []
    for i, j in pairs:
        tokens, position = (a, i) if i is not None else (b, j)
        assert position is not None
        side = "" if None not in (i, j) else say("compare.only_a" if j is None else "compare.only_b")
        labels.append(f"{tokens.texts[position]}{side and ' '}{side}")
        names.append(f"{tokens.name(position)}{side and ' '}{side}")
    return AlignedLabels(tuple(labels), tuple(names))


ALONE = "b"  # stack, in focus marks, of tokens that only the second run has
MAP_WIDTH, MAP_HEIGHT, MIN_ROW, MAX_ROW = 190, 270, 9, 32  # pixels of the cells of one of three maps, and of a row
MIN_LABEL, LABEL_LETTERS = 11, 11  # pixels between two labels of a small map, and letters of one
PICTURE_SIDE = 250  # pixels of one of three pictures
ABOVE = 80  # pixels of the title and the colour bar


def focus_marks(pairs: AlignedPairs, stack: str, axis: str = "y") -> list[dict[str, object]]:
    """Where aligned tokens stand on an axis, as `viz/browser/focus.js` reads it from `layout.meta.focus`.

    Args:
        pairs: positions in both sequences; rows of the figure, or its columns.
        stack: of the first run's tokens; those that only the second run has are in the stack `ALONE`.
        axis: "y" or "x".
    """
    own = [(at, i) for at, (i, _) in enumerate(pairs) if i is not None]
    alone = [(at, j) for at, (i, j) in enumerate(pairs) if i is None and j is not None]
    return [
        {"axis": axis, "stack": name, "at": [at for at, _ in marks], "places": [p for _, p in marks], "half": 0.5}
        for name, marks in ((stack, own), (ALONE, alone))
        if marks
    ]


def _linked(figure: go.Figure, focus: list[dict[str, object]] | None) -> go.Figure:
    """The figure, with `focus` for the browser where nothing is pooled."""
    meta = figure.layout.meta or {}
    if focus and "pooled" not in meta:
        figure.layout.meta = meta | {"focus": focus}
    return figure


def comparison_heatmap(
    values: np.ndarray,
    rows: AlignedLabels,
    columns: AlignedLabels,
    kind: str,
    title: str,
    palette: Palette,
    *,
    unit: str,
    limits: tuple[float, float] | None = None,
    side: str,
    tickformat: str | None = None,
    focus: list[dict[str, object]] | None = None,
) -> go.Figure:
    """Heat map of run A, of run B or of their difference, all three with equal margins and so with equal cells.

    Args:
        values: [aligned query, aligned key], NaN where a cell is masked or a token has no partner.
        rows, columns: labels of the aligned queries and keys.
        kind: of attention.
        title, unit: of the figure and of its values.
        palette: colours of the page.
        limits: values at the ends of the sequential scale; the scale of a difference is symmetric around zero.
        side: "a", "b" or "difference".
        tickformat: Plotly format of the values.
        focus: where the tokens of the rows stand, from `focus_marks`; left out where rows are pooled.
    """
    if side == "difference":
        limits = signed_limits(values)
        if tickformat == ".0%" and limits[1] < 0.05:
            tickformat = ".1%" if limits[1] >= 0.005 else ".2%"
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
        hover=say("compare.hover", value=f"%{{z:{tickformat or '.2f'}}}"),
        palette=palette,
        scale=palette.diverging if side == "difference" else palette.sequential,
        limits=limits,
        tickformat=tickformat,
    )
    if side != "a":  # the three stand in a row, and the first title holds for all; it takes the same room in each
        figure.layout.yaxis.title.font.color = "rgba(0,0,0,0)"
    _set_small(figure, (rows.labels, columns.labels))
    return _linked(figure, focus)


def _set_small(figure: go.Figure, labels: tuple[Sequence[str], Sequence[str]]) -> None:
    """Fit a heat map into a row of three: size, margins and labels depend on its labels alone, never on its values."""
    rows, columns = np.asarray(figure.data[0].z).shape
    height = round(min(max(MAP_HEIGHT, MIN_ROW * rows), MAX_ROW * rows))
    angle = 0 if all_numeric(labels[1]) else -90 if columns > 10 else -60
    left, below = (max((width(shorten(text, LABEL_LETTERS), 12) for text in side), default=0.0) for side in labels)
    turned = np.radians(-angle)
    bottom = round(below * np.sin(turned) + 16 * np.cos(turned)) + 28
    for axis, room, texts, count in (
        (figure.layout.xaxis, MAP_WIDTH, labels[1], columns),
        (figure.layout.yaxis, height, labels[0], rows),
    ):
        step = max(1, -(-len(axis.tickvals) * MIN_LABEL // room))
        drawn = axis.ticktext[::step]
        if count == len(texts):  # not pooled
            drawn = [escape(shorten(texts[i], LABEL_LETTERS)) for i in axis.tickvals[::step]]
        axis.update(tickvals=axis.tickvals[::step], ticktext=drawn)
        axis.update(tickfont_size=12, ticklabelstandoff=2)
        axis.title.update(standoff=4, font_size=12)
    figure.layout.xaxis.tickangle = angle
    figure.update_layout(
        title_font_size=14,
        height=height + ABOVE + bottom,
        margin={"l": round(left) + 24, "r": 18, "t": ABOVE, "b": bottom},
    )
    _lay_bar(figure, height)


def _lay_bar(figure: go.Figure, height: int) -> None:
    """Lay the colour bar of a heat map above its cells, with labels at its ends and in its middle.

    height: of the cells, in pixels.
    """
    trace = figure.data[0]
    # Anchored at its middle: anchored at its bottom, Plotly pushes the figure's title out of sight.
    place = {"orientation": "h", "x": 0, "xanchor": "left", "xpad": 0, "y": 1 + 27 / height, "yanchor": "middle"}
    ticks = {"tickmode": "array", "tickvals": [trace.zmin, (trace.zmin + trace.zmax) / 2, trace.zmax]}
    text = {"title": {"side": "top", "font": {"size": 11}}, "tickfont": {"size": 10}}
    form = {} if trace.colorbar.tickformat else {"tickformat": ".2~f"}
    trace.colorbar.update(place | ticks | text | form | {"len": 1, "ypad": 0, "thickness": 8})


def picture_comparison(
    picture: Picture,
    weights: np.ndarray,
    query: int,
    token: str,
    title: str,
    palette: Palette,
    *,
    side: str,
    most: float,
) -> go.Figure:
    """Picture in grey with the weights of one query in run A or B, or their difference, as a tint over its patches.

    Args:
        picture: the input, and its patches.
        weights: of every token, those before the patches included. [token]
        query: position of the query, which is boxed where it is a patch; token: its label.
        title: of the figure.
        palette: colours of the page.
        side: "a", "b" or "difference".
        most: value at the end of the scale: the same for A and B, and the largest magnitude of the difference.
    """
    figure = patch_overlay(picture, weights, query, token, palette)
    tint = figure.data[0]
    tint.update(zmax=most, colorbar=colour_bar(say("heads.unit"), ".0%"))
    if side == "difference":
        ends = palette.diverging[0][1], palette.diverging[-1][1]
        low, high = (",".join(str(int(end[i : i + 2], 16)) for i in (1, 3, 5)) for end in ends)
        scale = [[0, f"rgba({low},0.9)"], [0.5, f"rgba({low},0)"], [0.5, f"rgba({high},0)"], [1, f"rgba({high},0.9)"]]
        tint.update(zmin=-most, colorscale=scale, hovertemplate=say("compare.patch_hover") + "<extra></extra>")
    _lay_bar(figure, PICTURE_SIDE)
    margin = {"l": 16, "r": 18, "t": ABOVE, "b": 8}
    figure.update_layout(title_text=title, title_font_size=14, height=PICTURE_SIDE + ABOVE + 8, margin=margin)
    return figure


def row_divergence_bars(
    divergence: np.ndarray, rows: AlignedLabels, palette: Palette, focus: list[dict[str, object]] | None = None
) -> go.Figure:
    """Bar chart of the divergence of two runs' weights, query by query.

    Args:
        divergence: Jensen-Shannon divergence, 0 to 1; NaN without a partner. [aligned query]
        rows: labels of the aligned queries.
        palette: colours of the page.
        focus: where the tokens stand, from `focus_marks` on axis "x".
    """
    figure = token_bars(
        divergence,
        rows.labels,
        palette,
        title=say("compare.rows_title"),
        hover=say("compare.rows_hover"),
        names=rows.names,
        axis={
            "range": [0, max(float(np.nanmax(divergence, initial=0.0)) * 1.1, 0.05)],
            "tickformat": ".0%",
            "nticks": 4,
            "title": {"text": say("compare.bits"), "standoff": 4, "font": {"size": 12}},
        },
        height=220,
    )
    figure.update_layout(title_font_size=14, margin_t=34, margin_b=4)
    return _linked(figure, focus)


def state_distance_heatmap(
    distance: np.ndarray,
    columns: AlignedLabels,
    names: Sequence[str],
    palette: Palette,
    most: float | None = None,
    focus: list[dict[str, object]] | None = None,
) -> go.Figure:
    """Heat map of the distance between two runs' hidden states, depths down, aligned tokens across.

    Args:
        distance: [layer + 1, aligned token], NaN without a partner.
        columns: labels of the aligned tokens.
        names: labels of the depths.
        palette: colours of the page.
        most: distance at the end of the scale; the largest of this map where it is None.
        focus: where the tokens stand, from `focus_marks` on axis "x"; left out where columns are pooled.
    """
    figure = grid(
        distance,
        rows=names,
        columns=columns.labels,
        column_names=columns.names,
        title=say("compare.states_title"),
        row_title=say("heads.layer_axis"),
        column_title=say("layers.token"),
        unit=say("compare.distance"),
        hover=say("compare.states_hover"),
        palette=palette,
        limits=(0, max(float(np.nanmax(distance, initial=0.0)) if most is None else most, 1e-6)),
    )
    return _linked(figure, focus)
