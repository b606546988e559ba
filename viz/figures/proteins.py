"""The contacts of a protein: what a head looks at in one triangle, what touches in the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from model.measures.structure.contacts import compared_pairs, top_pairs
from model.structures.protein import KnownStructure
from viz.figures.linking import focus_rows
from viz.figures.theme import Palette, base_figure, colour_bar
from viz.language.messages import say

HEIGHT = 480
STRONG = (
    0.995  # quantile of distant pairs from which on colours are full: neighbours and one pair must not blank the rest
)


def contact_map(
    scores: np.ndarray,
    known: KnownStructure | None,
    residues: Sequence[str],
    focus: tuple[str, Sequence[int]],
    title: str,
    palette: Palette,
) -> go.Figure:
    """Scores above the diagonal, known contacts below it; rings are top pairs that touch, crosses the others.

    Args:
        scores: as `model.measures.structure.contacts.contact_scores` makes them. [residue, residue]
        known: None where the structure is not known: the lower triangle is then empty.
        residues: their names.
        focus: stack and positions of the residues' tokens.
    """
    count = len(residues)
    upper = np.triu_indices(count, 1)
    z = np.full((count, count), np.nan, np.float32)
    z[upper] = np.maximum(scores[upper], 0)
    apart = z[compared_pairs(count)]
    top = float(np.quantile(apart, STRONG)) if apart.size else 0.0
    figure = base_figure(title, palette, height=HEIGHT)
    heat = {"zmin": 0, "hoverongaps": False, "customdata": None}
    figure.add_heatmap(
        z=z,
        zmax=top or 1.0,
        colorscale=[list(stop) for stop in palette.sequential],
        colorbar=colour_bar(say("protein.score"), ".1%"),
        hovertemplate="%{y} – %{x}: %{z:.1%}<extra></extra>",
        **heat,
    )
    if known is not None:
        _known_contacts(figure, known, heat, palette)
        _top_pairs(figure, scores, known, palette)
        _bridges(figure, known, palette)
    step = 10 * -(-count // 150)  # labels that stand beside each other unturned, on a third of a page, too
    ticks = list(range(step - 1, count, step))
    axis = {
        "tickmode": "array",
        "tickvals": ticks,
        "ticktext": [str(tick + 1) for tick in ticks],
        "showgrid": False,
        "zeroline": False,
        "constrain": "domain",
    }
    figure.update_layout(
        meta={"focus": [*focus_rows(focus), *focus_rows(focus, "x")]},
        showlegend=known is not None,
        legend={"y": -0.16},
        xaxis={"range": [-0.5, count - 0.5], "title": {"text": say("protein.residue")}} | axis,
        yaxis={"range": [count - 0.5, -0.5], "scaleanchor": "x", "title": {"text": say("protein.residue")}} | axis,
    )
    return figure


def _known_contacts(figure: go.Figure, known: KnownStructure, heat: dict[str, Any], palette: Palette) -> None:
    """Add what touches in the known structure, below the diagonal. heat: what both maps share"""
    count = len(known.contacts)
    lower = np.tril_indices(count, -1)
    touch = np.full((count, count), np.nan, np.float32)
    touch[lower] = np.where(known.contacts[lower], 1.0, np.nan)
    figure.add_heatmap(
        z=touch,
        zmax=1,
        colorscale=[[0, palette.second], [1, palette.second]],
        showscale=False,
        hovertemplate=say("protein.touch_hover") + "<extra></extra>",
        **heat,
    )


def _bridges(figure: go.Figure, known: KnownStructure, palette: Palette) -> None:
    """Add squares around the joined cysteines."""
    rows, columns = [b for _, b in known.bridges], [a for a, _ in known.bridges]
    outline = {"color": palette.text, "width": 2}
    ring = {"color": "rgba(0,0,0,0.01)", "size": 13, "symbol": "square", "line": outline}
    figure.add_scatter(x=columns, y=rows, mode="markers", marker=ring, name=say("protein.bridge"), hoverinfo="skip")


def _top_pairs(figure: go.Figure, scores: np.ndarray, known: KnownStructure, palette: Palette) -> None:
    """As many pairs as there are residues, those with the largest scores."""
    rows, columns = top_pairs(scores)
    right = known.contacts[rows, columns]
    ring = {"color": "rgba(0,0,0,0.01)", "size": 7, "symbol": "circle", "line": {"color": palette.second, "width": 2}}
    cross = {"color": palette.text, "size": 5, "symbol": "x-thin", "line": {"color": palette.text, "width": 1}}
    for which, marker, name in ((right, ring, "protein.right"), (~right, cross, "protein.wrong_pair")):
        x, y = columns[which].tolist(), rows[which].tolist()
        figure.add_scatter(x=x, y=y, mode="markers", marker=marker, name=say(name), hoverinfo="skip")
