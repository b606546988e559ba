"""A heat map whose colour bar lies under it, where it takes no width from the cells."""

from __future__ import annotations

import plotly.graph_objects as go

from viz.figures.theme import unvalidated_figure

BAR_ROOM = 40  # pixels of the colour bar and its numbers


def with_bar_below(figure: go.Figure) -> go.Figure:
    """The same heat map, drawn by `viz.figures.grid.grid` without a colour bar, with one under it.

    Maps with equal labels keep cells of equal size, with the bar and without it.
    """
    cells, *others = figure._data
    layout = dict(figure._layout)
    layout["margin"] = layout["margin"] | {"b": layout["margin"]["b"] + BAR_ROOM, "autoexpand": False}
    layout["height"] += BAR_ROOM
    place = {"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom", "x": 0.5, "xanchor": "center"}
    bar = cells["colorbar"] | place | {"len": 1, "title": {"text": ""}, "ypad": 4}
    return unvalidated_figure([cells | {"showscale": True, "colorbar": bar}, *others], layout)
