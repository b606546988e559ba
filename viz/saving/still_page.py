"""What a saved page says and shows in place of what only the live page can do: captions, and the frame of a tile."""

from __future__ import annotations

import re

import plotly.graph_objects as go

from viz.figures.theme import Palette
from viz.language.messages import say


def still_caption(caption: str) -> str:
    """A caption without the sentences, or ends of sentences, that ask for a click, which a saved page cannot follow."""
    live = re.compile(say("export.live_words"), re.IGNORECASE)
    kept = []
    for sentence in re.split(r"(?<=[.!?])\s+", caption):
        if live.search(sentence):
            parts = re.split(r"(?<=[:;])\s+", sentence)
            first = next(place for place, part in enumerate(parts) if live.search(part))
            sentence = " ".join(parts[:first]).rstrip(" :;")  # what follows speaks of the click, too
            sentence = f"{sentence}." if sentence else ""
        kept.append(sentence)
    return " ".join(one for one in kept if one)


def with_frame(figure: go.Figure, layer: int, head: int, palette: Palette) -> go.Figure:
    """The figure of all heads with a frame around one tile, as the browser draws it; any other figure unchanged.

    Args:
        figure: `layout.meta["tiles"]` says how its tiles lie, if it has any.
    """
    tiles = (figure.layout.meta or {}).get("tiles") if isinstance(figure.layout.meta, dict) else None
    if not tiles or layer >= tiles["layers"] or head >= tiles["heads"]:
        return figure
    marks, place = figure.data[0], layer * tiles["heads"] + head
    x, y = marks.x[place], marks.y[place]
    framed = go.Figure(figure)
    box = {"x0": x - 0.48, "x1": x + 0.48, "y0": y - 0.48, "y1": y + 0.48}
    framed.add_shape(type="rect", line={"color": palette.second, "width": 3}, **box)
    return framed
