"""Figures that compare two runs: aligned heat maps and their difference, distances of states, shares of tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from model.measures.alignment import AlignedPairs
from model.trace.tokens import Tokens
from viz.figures.grid import all_numeric, axis_ticks, grid, signed_limits, token_bars
from viz.figures.theme import Palette, base_figure, escape
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
) -> go.Figure:
    """Heat map of run A, of run B or of their difference, for a third of a page.

    Args:
        values: [aligned query, aligned key], NaN where a cell is masked or a token has no partner.
        rows, columns: labels of the aligned queries and keys.
        kind: of attention.
        title, unit: of the figure and of its values.
        palette: colours of the page.
        limits: values at the ends of the sequential scale; the scale of a difference is symmetric around zero.
        side: "a", "b" or "difference".
        tickformat: Plotly format of the values.
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
        bar=side != "a",  # A and B share a scale
        hover=say("compare.hover"),
        palette=palette,
        scale=palette.diverging if side == "difference" else palette.sequential,
        limits=signed_limits(values) if side == "difference" else limits,
        tickformat=tickformat,
        narrow=True,
    )
    # A third of a page has no pixel to spare: Plotly computes the exact margins.
    figure.update_layout(title_font_size=14, margin_l=8, margin_r=8)
    if not (all_numeric(columns.labels) or figure.layout.xaxis.tickangle):
        figure.update_layout(xaxis_tickangle=-60)  # horizontal words do not fit either
    # The three maps share a row: the axis title of the first one holds for all.
    if side != "a":
        figure.layout.yaxis.title.text = ""
    return figure


def row_divergence_bars(bits: np.ndarray, rows: AlignedLabels, palette: Palette) -> go.Figure:
    """Bar chart of the divergence of two runs' weights, query by query. bits: [aligned query], NaN without a partner"""
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


def state_distance_heatmap(
    distance: np.ndarray, columns: AlignedLabels, names: Sequence[str], palette: Palette
) -> go.Figure:
    """Heat map of the distance between two runs' hidden states, depths down, aligned tokens across.

    Args:
        distance: [layer + 1, aligned token], NaN without a partner.
        columns: labels of the aligned tokens.
        names: labels of the depths.
        palette: colours of the page.
    """
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


def share_bars(shares: Mapping[str, np.ndarray], labels: Sequence[str], palette: Palette) -> go.Figure:
    """Bar chart of how much each input token contributes to one token, by several measures side by side.

    Args:
        shares: of each measure, by its name in the section "compare" of the interface's words. name -> [input token]
        labels: of the input tokens.
        palette: colours of the page.
    """
    figure = base_figure(say("compare.through_title"), palette, height=380)
    for number, (name, values) in enumerate(shares.items()):
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
        xaxis={"tickangle": -60, "showgrid": False, "zeroline": False, **axis_ticks(labels)},
        yaxis={"tickformat": ".0%", "title": say("compare.share")},
        barmode="group",
        showlegend=True,
    )
    return figure
