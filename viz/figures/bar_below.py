"""A heat map whose colour bar lies under it, where it takes no width from the cells."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

from viz.figures.theme import unvalidated_figure

BAR_ROOM = 40  # pixels of the colour bar and its numbers
PROJECTOR_HEIGHT = 410  # pixels under the large type of a projector: with its caption, what a first screen holds
PROJECTOR_ROW = 20  # pixels of a row there, at least


def with_bar_below(figure: go.Figure) -> go.Figure:
    """The same heat map, drawn by `viz.figures.grid.grid` without a colour bar, with one under it."""
    cells, *others = figure._data
    layout = _with_room(figure)
    place = {"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom", "x": 0.5, "xanchor": "center"}
    bar = cells["colorbar"] | place | {"len": 1, "title": {"text": ""}, "ypad": 4}
    return unvalidated_figure([cells | {"showscale": True, "colorbar": bar}, *others], layout)


def with_room_below(figure: go.Figure) -> go.Figure:
    """The same heat map with the room of a colour bar under it: its cells are of the size of those of maps with one."""
    return unvalidated_figure(list(figure._data), _with_room(figure))


def _with_room(figure: go.Figure) -> dict[str, Any]:
    layout: dict[str, Any] = dict(figure._layout)
    layout["margin"] = layout["margin"] | {"b": layout["margin"]["b"] + BAR_ROOM, "autoexpand": False}
    layout["height"] += BAR_ROOM
    around = layout["margin"]["t"] + layout["margin"]["b"]
    room = max(PROJECTOR_HEIGHT, around + PROJECTOR_ROW * len(figure._data[0]["z"]))
    layout["meta"] = (layout.get("meta") or {}) | {"projector_height": room}
    return layout
