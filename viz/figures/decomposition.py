"""Figures of a pass taken apart: sources of one match, and what heads and feed-forward layers add to a score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from model.measures.source_groups import SourceGroup, grouped_sources, summed
from model.trace.boxes.decomposition import Credit, Source, Split
from model.trace.trace import Trace
from viz.figures.grid import axis_ticks, grid, signed_limits
from viz.figures.linking import focus_rows, key_stack, query_stack
from viz.figures.theme import Palette, base_figure, escape, unvalidated_figure
from viz.language.messages import say

MOST_GROUPS, MOST_BARS = 14, 12


def source_name(kind: str, first: int | None, last: int | None = None, head: int | None = None) -> str:
    """What a source, or a group of layers, is called. kind, head: as in `Source`; first, last: layers"""
    name = say(f"sources.{kind}")
    if first is None:
        return name
    if head is not None:
        return say("sources.head", name=name, layer=first, head=head)
    layers = f"{first}" if last in (None, first) else f"{first}–{last}"
    return say("sources.layer", name=name, layers=layers)


def match_groups(split: Split) -> tuple[tuple[SourceGroup, ...], tuple[SourceGroup, ...]]:
    """The groups that the rows and the columns of `match_heatmap` stand for."""
    return grouped_sources(split.query_sources, MOST_GROUPS), grouped_sources(split.key_sources, MOST_GROUPS)


def match_heatmap(
    split: Split, kind: str, place: tuple[int, int], names: tuple[str, str], palette: Palette
) -> go.Figure:
    """Heat map of what each pair of sources adds to one attention score; all cells add up to it.

    Args:
        kind: of attention; place: positions of the query and the key; names: of the two tokens.
    """
    groups = match_groups(split)
    values = summed(split.parts, *groups)
    rows, columns = ([source_name(one.kind, one.first, one.last) for one in side] for side in groups)
    figure = grid(
        values,
        rows=rows,
        columns=columns,
        title=say("inside.match_title"),
        row_title=say("inside.match_rows", token=names[0]),
        column_title=say("inside.match_columns", token=names[1]),
        unit=say("inside.match_unit"),
        hover=say("inside.match_hover"),
        palette=palette,
        scale=palette.diverging,
        limits=signed_limits(values),
        fit=True,
    )
    marks = []
    for axis, side, stack, position in zip("yx", groups, (query_stack(kind), key_stack(kind)), place, strict=True):
        at = [i for i, one in enumerate(side) if one.kind == "token"]
        marks += [mark | {"at": at} for mark in focus_rows((stack, [position]), axis) if at]
    layout = figure._layout | {"meta": {"focus": marks}}
    for axis, labels in (("xaxis", columns), ("yaxis", rows)):  # names of sources are longer than most tokens
        layout[axis] = layout[axis] | axis_ticks(labels, longest=26)
    return unvalidated_figure(figure._data, layout)


def credit_bars(
    credit: Credit, heads: Mapping[Source, tuple[str, int, int]], palette: Palette, most: int = MOST_BARS
) -> go.Figure:
    """Bars of the parts that push a score up or down most, strongest first, and last the sum of the others.

    Args:
        heads: kind, layer and head of the sources that are heads; their bars have it as customdata.
        most: bars beside the last.
    """
    chosen, rest = strongest_parts(credit, most)
    values = [float(credit.parts[i]) for i in chosen] + ([rest] if rest is not None else [])
    labels = [_label(credit.sources[i]) for i in chosen]
    labels += [] if rest is None else [say("output.who_rest", count=len(credit.parts) - len(chosen))]
    figure = base_figure(say("output.who_title"), palette, height=100 + 24 * len(values))
    figure.add_bar(
        x=np.array(values, np.float32),
        y=list(range(len(values))),
        orientation="h",
        marker={"color": [palette.accent if value >= 0 else palette.second for value in values]},
        customdata=[list(heads.get(credit.sources[i], ())) for i in chosen] + [[]] * (rest is not None),
        hovertemplate="%{x:+.3f}<extra></extra>",
        text=labels,
        textposition="none",
        showlegend=False,
    )
    figure.update_layout(
        xaxis={"title": say("output.who_axis")},
        yaxis={
            "range": [len(values) - 0.5, -0.5],
            "showgrid": False,
            "zeroline": False,
            **axis_ticks(labels, longest=40),
        },
        bargap=0.25,
    )
    return figure


def strongest_parts(credit: Credit, most: int) -> tuple[Sequence[int], float | None]:
    """Indices of the parts that are largest in size, strongest first, and the sum of the others; None without any."""
    order = np.argsort(-np.abs(credit.parts), kind="stable").tolist()
    rest = order[most:]
    return order[:most], float(credit.parts[rest].sum()) if rest else None


def head_places(trace: Trace, credit: Credit) -> dict[Source, tuple[str, int, int]]:
    """Kind, attention layer and head of the sources that are heads that can be shown."""
    found = {}
    for source in credit.sources:
        kind = "cross" if source.kind == "cross_attention" else source.stack
        attention = trace.attentions.get(kind)
        if source.head is not None and attention is not None and source.layer in attention.layer_index:
            found[source] = (kind, attention.layer_index.index(source.layer), source.head)
    return found


def _label(source: Source) -> str:
    return source_name(source.kind, source.layer, head=source.head)


def effect_scatter(
    credit: Mapping[tuple[str, int, int], float],
    effects: Mapping[str, np.ndarray],
    words: tuple[str, str],
    unit: str,
    palette: Palette,
) -> go.Figure:
    """Scatter of what each head adds to a word directly, and of what silencing it changes; points are clickable.

    Args:
        credit: (kind, layer, head) -> what it adds to the difference of two scores.
        effects: kind -> [layer, head]; unit: of them.
        words: the one that was written, and the other.

    Returns:
        A figure whose points have [kind, layer, head] as customdata.
    """
    figure = base_figure(say("changes.direct_title"), palette, height=380)
    for kind, colour in zip(effects, palette.lines, strict=False):
        places = [place for place in credit if place[0] == kind]
        figure.add_scatter(
            x=np.array([credit[place] for place in places], np.float32),
            y=np.array([effects[kind][place[1:]] for place in places], np.float32),
            mode="markers",
            marker={"color": colour, "size": 9},
            name=say(f"kinds.{kind}"),
            customdata=[list(place) for place in places],
            text=[
                say("changes.head_label", kind=say(f"kinds.{kind}"), layer=place[1], head=place[2]) for place in places
            ],
            hovertemplate="%{text}: %{x:+.3f}, %{y:.3f}<extra></extra>",
            visible=bool(places),
        )
    figure.update_layout(
        xaxis={"title": say("changes.direct_axis", token=escape(words[0]), other=escape(words[1])), "zeroline": True},
        yaxis={"title": unit, "rangemode": "tozero"},
        legend={"y": -0.28},
    )
    return figure
