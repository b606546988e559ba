"""What a saved page says and shows in place of what only the live page can do: captions, and the frame of a tile."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

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


def with_frames(figure: go.Figure, frames: Mapping[str, Sequence[int]], palette: Palette) -> go.Figure:
    """The figure of all heads with frames around tiles, as the browser draws them; any other figure unchanged.

    Args:
        figure: `layout.meta["tiles"]` says how its tiles lie, if it has any.
        frames: name -> layer and head; "" for the head on screen, "A" and "B" for two that are compared.
    """
    tiles = (figure.layout.meta or {}).get("tiles") if isinstance(figure.layout.meta, dict) else None
    shown = {name: at for name, at in frames.items() if tiles and at[0] < tiles["layers"] and at[1] < tiles["heads"]}
    if not tiles or not shown:
        return figure
    framed, marks = go.Figure(figure), figure.data[0]
    for name, (layer, head) in shown.items():
        place = layer * tiles["heads"] + head
        x, y = marks.x[place], marks.y[place]
        half = 0.4 if name == "B" else 0.48  # both are seen where they are one head
        colour = palette.accent if name == "B" else palette.second
        box = {"x0": x - half, "x1": x + half, "y0": y - half, "y1": y + half}
        framed.add_shape(type="rect", line={"color": colour, "width": 3}, **box)
        if name:
            side = {"x": x - 0.3, "xanchor": "left"} if name == "A" else {"x": x + 0.3, "xanchor": "right"}
            framed.add_annotation(text=f"<b>{name}</b>", y=y + 0.2, showarrow=False, font={"color": colour}, **side)
    return framed
