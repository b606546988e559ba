"""Figures of what edits change: next-token probabilities, divergence by position, and the effect of each head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from viz.figures.bar_below import with_bar_below
from viz.figures.grid import axis_ticks, grid, token_bars
from viz.figures.linking import focus_rows
from viz.figures.theme import Palette, base_figure, escape
from viz.language.messages import say

Head = tuple[str, int, int]
Layers = Mapping[str, Sequence[int]]


def head_effect_bars(
    effects: Mapping[str, np.ndarray], unit: str, palette: Palette, most: int = 14, layers: Layers | None = None
) -> go.Figure:
    """Bar chart of the heads whose silencing changes the prediction most, largest effect first; bars are clickable.

    Args:
        effects: of each head, by kind of attention. kind -> [layer, head]
        unit: title of the value axis.
        palette: colours of the page.
        most: bars drawn at most.
        layers: kind -> which layer of the model each attention layer is; 0, 1, 2 … by default.

    Returns:
        A figure whose bars have [kind, layer, head] as customdata.
    """
    heads = heads_by_effect(effects)[:most]
    kinds = list(effects)
    index = layers or {kind: range(len(values)) for kind, values in effects.items()}
    figure = base_figure(say("changes.ranked_title"), palette, height=60 + 22 * max(len(heads), 4) + 60)
    for kind in kinds:
        places = [i for i, (k, *_) in enumerate(heads) if k == kind]
        figure.add_bar(
            x=np.array([effects[kind][heads[i][1], heads[i][2]] for i in places], np.float32),
            y=places,
            orientation="h",
            marker={"color": palette.lines[kinds.index(kind)]},
            name=say(f"kinds.{kind}"),
            customdata=[list(heads[i]) for i in places],
            hovertext=[str(index[kind][heads[i][1]]) for i in places],
            hovertemplate=say("changes.ranked_hover") + "<extra></extra>",
        )
    labels = [
        say("changes.head_label", kind=say(f"kinds.{k}"), layer=index[k][layer], head=head) for k, layer, head in heads
    ]
    figure.update_layout(
        xaxis={"title": unit, "rangemode": "tozero"},
        yaxis={
            "range": [len(heads) - 0.5, -0.5],
            "showgrid": False,
            "zeroline": False,
            **axis_ticks(labels, longest=40),
        },
        showlegend=len(kinds) > 1,
        bargap=0.25,
        legend={"y": -0.18},
    )
    return figure


def heads_by_effect(effects: Mapping[str, np.ndarray]) -> list[Head]:
    """All heads as (kind, layer, head), largest effect first. effects: kind -> [layer, head]"""
    heads = [(k, layer, head) for k, values in effects.items() for layer, head in np.ndindex(values.shape)]
    return sorted(heads, key=lambda one: -effects[one[0]][one[1], one[2]])


def head_effect_heatmaps(
    effects: Mapping[str, np.ndarray], unit: str, palette: Palette, layers: Layers | None = None
) -> dict[str, go.Figure]:
    """Heat map of the effect of silencing each head, one for each kind of attention, all on one scale.

    Args:
        effects: kind -> [layer, head], drawn layers down and heads across.
        unit: of the effects.
        palette: colours of the page.
        layers: as for `head_effect_bars`.
    """
    index = layers or {kind: range(len(values)) for kind, values in effects.items()}
    largest = max((float(values.max()) for values in effects.values()), default=0.0) or 1.0
    return {
        kind: with_bar_below(
            grid(
                values,
                rows=[str(layer) for layer in index[kind]],
                columns=[str(i) for i in range(values.shape[1])],
                title=say("changes.map_title", kind=say(f"kinds.{kind}")),
                row_title=say("heads.layer_axis"),
                column_title=say("heads.head_axis"),
                unit=unit,
                hover=say("changes.map_hover"),
                palette=palette,
                limits=(0, largest),
                bar=False,
                fit=True,
            )
        )
        for kind, values in effects.items()
    }


def divergence_bars(
    bits: np.ndarray, labels: Sequence[str], names: Sequence[str], chosen: int, stack: str, palette: Palette
) -> go.Figure:
    """Bar chart of the divergence of each position's prediction from the unedited run; bars are clickable.

    Args:
        bits: [token]
        labels, names: of the tokens, short and in full.
        chosen: position of the bar that has another colour.
        stack: "encoder" or "decoder", whose tokens these are.
        palette: colours of the page.
    """
    figure = token_bars(
        bits,
        labels,
        palette,
        names=names,
        title=say("changes.divergence_title"),
        hover=say("changes.divergence_hover" if stack == "decoder" else "changes.divergence_hover_here"),
        token_title=say("changes.fed_in" if stack == "decoder" else "layers.token"),
        axis={"title": say("changes.bits"), "rangemode": "tozero"},
    )
    figure.data[0].marker.color = [palette.second if i == chosen else palette.accent for i in range(len(bits))]
    return figure.update_layout(meta={"focus": focus_rows((stack, range(len(bits))), "x")})


def candidate_bars(
    before: np.ndarray, after: np.ndarray | None, labels: Sequence[str], palette: Palette, title: str
) -> go.Figure:
    """Bar chart of the probabilities of the likeliest next tokens, before and after an edit.

    Args:
        before, after: probabilities, [candidate]; `after` is None where there is no edit.
        labels: of the candidates.
        palette: colours of the page.
        title: of the figure.
    """
    figure = base_figure(title, palette, height=84 + 29 * len(labels))
    sides = (
        [("before", before, palette.second)]
        if after is None
        else [("before", before, palette.faint), ("after", after, palette.accent)]
    )
    for name, values, colour in sides:
        figure.add_bar(
            x=values.astype(np.float32),
            y=np.arange(len(labels)),
            orientation="h",
            marker={"color": colour, "line": {"color": palette.forbidden, "width": 1}},
            name=say(f"changes.{name}"),
            text=[escape(label) for label in labels],
            textposition="none",
            hovertemplate=say("changes.candidate_hover") + "<extra></extra>",
        )
    figure.update_layout(
        xaxis={"title": say("changes.probability"), "tickformat": ".0%", "rangemode": "tozero"},
        yaxis={"range": [len(labels) - 0.5, -0.5], "showgrid": False, "zeroline": False, **axis_ticks(labels)},
        barmode="group",
        showlegend=after is not None,
    )
    return figure
