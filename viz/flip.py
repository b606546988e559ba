"""All heads of one layer in the browser at once: switching between them by key or pointer needs no server."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import streamlit as st

from model.catalog import ASSETS
from model.trace import Attention
from viz.figures.grid import grouped, pooled
from viz.figures.heads import masked
from viz.figures.theme import Palette, paint, shades
from viz.text import say

HTML = """<div class="flip"><p class="title"></p><div class="list"></div><canvas tabindex="0" role="img"></canvas>
<p class="said"></p><button class="open" type="button"></button></div>"""
CSS = """
.flip { font-family: var(--st-font); color: var(--st-text-color); }
.title { font-weight: 700; margin: 0 0 0.4rem; }
.said { min-height: 2.6em; margin: 0.4rem 0; }
.list { display: flex; flex-wrap: wrap; gap: 0.25rem; margin-bottom: 0.5rem; }
button { font: inherit; color: inherit; min-width: 2.2rem; padding: 0.3rem 0.6rem; cursor: pointer;
  background: var(--st-secondary-background-color); border: 1px solid var(--st-border-color); border-radius: 0.4rem; }
button[aria-pressed=true] { border: 2px solid var(--st-primary-color); font-weight: 700; }
canvas { max-width: 100%; }
"""
_flip = st.components.v2.component(
    "headlight_flip", html=HTML, css=CSS, js=(ASSETS / "flip.js").read_text(encoding="utf-8")
)


def draw(attention: Attention, layer: int, palette: Palette) -> None:
    """The heads of a layer on a canvas; its button opens the one that is shown on the rest of the page."""

    def take() -> None:
        chosen = st.session_state.flip.head
        if chosen is not None and 0 <= int(chosen) < attention.num_heads:
            st.session_state.head = int(chosen)

    st.caption(say("flip.why"))
    _flip(key="flip", data=message(attention, layer, palette), on_head_change=take)


def message(attention: Attention, layer: int, palette: Palette) -> bytes:
    """What the browser gets: length of the header, header, and a byte a cell [head, row, column].

    Weights in 255 steps; large maps are pooled as everywhere. The chosen head is no part of it: choosing another one
    sends nothing again.
    """
    values = masked(attention, layer, attention.weights(layer))
    maps = [pooled(one) for one in values]
    cells = shades(np.stack([one for one, _ in maps]))
    names = [
        grouped(tokens.texts, [tokens.name(i) for i in range(len(tokens))], starts)[1]
        for tokens, starts in zip((attention.queries, attention.keys), maps[0][1], strict=True)
    ]
    colours = paint(np.linspace(0, 1, 255), palette.sequential).view("<u4")[:, 0].tolist()
    words = {name: say(f"flip.{name}") for name in ("label", "open", "masked", "looks", "help")}
    header: dict[str, Any] = {
        "heads": len(cells),
        "rows": cells.shape[1],
        "columns": cells.shape[2],
        "colours": [*colours, 0],
        "row_names": names[0],
        "column_names": names[1],
        "words": words | {"title": say("flip.title", layer=layer)},
    }
    text = json.dumps(header).encode()
    return struct.pack("<I", len(text)) + text + cells.tobytes()
