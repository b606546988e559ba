"""All heads of a model together: by likeness, as a map, and on a wall. A section of the Compare page."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import streamlit as st

from model import comparing
from viz import export, links, parts
from viz.comparison import Side
from viz.figures import compare as figures
from viz.figures.theme import Palette
from viz.text import say

MOST = 12  # heads on the wall


def many_heads(a: Side, palette: Palette) -> None:
    """A wall of heads, all heads by similarity to the chosen one, and a map of them all."""
    attention, chosen = a.attention, (a.layer, a.head)
    alike = comparing.head_similarity(attention, *chosen)
    order = [divmod(int(i), attention.num_heads) for i in np.argsort(-alike, axis=None, kind="stable")]
    left, right = st.columns([2, 3])
    with left:
        drawn = figures.similarity(alike, chosen, palette)
        parts.draw(drawn, "similarity", say("compare.similar_look"), on_select=_opener("similarity"))
    with right:
        points, kept = comparing.head_map(attention)
        drawn = figures.head_map(points, kept, chosen, palette)
        parts.draw(drawn, "head_map", say("compare.head_map_look"), on_select=_opener("head_map"))
    key = f"wall_{attention.kind}_{a.layer}_{a.head}"
    tiles = {f"{layer}.{head}": (layer, head) for layer, head in order}
    links.take(key, list(tiles), many=True)
    names = st.multiselect(
        say("compare.wall_pick"),
        list(tiles),
        list(tiles)[:8],
        format_func=lambda one: say("compare.tile", layer=tiles[one][0], head=tiles[one][1]),
        max_selections=MOST,
        key=key,
        persist_state="session",
    )
    links.keep(key, names, list(tiles)[:8])
    heads = [tiles[name] for name in names]
    if heads:
        drawn = figures.wall(attention, heads, palette)
        table = export.cells(attention)
        parts.draw(drawn, "wall", say("compare.wall_look"), on_select=_opener("wall"), table=table)


def _opener(key: str) -> Callable[[], None]:
    def take() -> None:
        points = st.session_state[key].selection.points
        if points:
            st.session_state.layer, st.session_state.head = (int(i) for i in points[0]["customdata"][:2])

    return take
