"""All heads of one layer in the browser at once: the large map shows another one without asking the server.

Those of other layers it takes from the picture of all heads.
"""

from __future__ import annotations

import json
import struct
import zlib

import numpy as np
import streamlit as st

from model.trace.attention import Attention
from viz.browser.resources import BROWSER
from viz.figures.grid import MAX_BORDERED, pooled_shape
from viz.figures.heads import THUMBNAIL_GAP, THUMBNAIL_PIXELS, Window, visible_positions
from viz.figures.theme import Palette, colour_indices, rgba_colours
from viz.language.messages import say

COARSE = 8  # of the 255 steps that are one in a large map
# The code of a component is sent with each of its messages: the long one goes once, and the heads by a short one.
_code = st.components.v2.component("headlight_flip", js=(BROWSER / "head_flip.js").read_text(encoding="utf-8"))
_heads = st.components.v2.component(
    "headlight_heads",
    js="""export default ({ data }) => {
  globalThis.headlightHeads = data
  document.dispatchEvent(new Event("headlight-heads"))
}""",
)


def listen() -> None:
    """Let the browser show the head whose button a pointer or key has reached, of those that `draw` laid ready."""
    _code(key="flip_code")


def draw(heads: bytes) -> None:
    """Lay a layer's heads ready in the browser."""
    _heads(key="flip", data=heads)


def message(attention: Attention, layer: int, palette: Palette, specials: bool, window: Window | None) -> bytes:
    """What the browser gets: length of the header, header, and deflated colours and a byte a cell [head, row, column].

    Weights in 255 steps, 32 in large maps, which are pooled as everywhere. The chosen head is no part of it: choosing
    another one sends nothing again.

    Args:
        specials, window: what is drawn of a map, as in `viz.figures.heads.head_heatmap`.
    """
    queries, keys = visible_positions(attention, specials, window)
    shaded = colour_indices(attention.pooled(layer, None, queries, keys, pooled_shape((len(queries), len(keys)))))
    rows, columns = shaded.shape[1:]
    if rows * columns > MAX_BORDERED**2:  # a third of the bytes; what the server draws a moment later has every step
        shaded = np.where(shaded == 255, np.uint8(255), shaded // COARSE * COARSE)
    header = {
        "layers": attention.num_layers,
        "layer": layer,
        "heads": len(shaded),
        "rows": rows,
        "columns": columns,
        "title": say(
            "heads.map_title", attention=say(f"kinds.{attention.kind}_attention"), layer="{layer}", head="{head}"
        ),
        "whole": [len(queries), len(keys)]
        == [len(attention.queries), len(attention.keys)],  # as in the picture of all heads
        "thumb": THUMBNAIL_PIXELS,
        "step": THUMBNAIL_PIXELS + THUMBNAIL_GAP,
    }
    text = json.dumps(header).encode()
    colours = rgba_colours(np.linspace(0, 1, 255), palette.sequential).tobytes() + bytes(4)
    return struct.pack("<I", len(text)) + text + zlib.compress(colours + shaded.tobytes())
