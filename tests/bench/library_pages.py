"""Pages that other libraries make of the same attention weights, and the clicks that select a head or layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import numpy as np


@dataclass(frozen=True)
class View:
    """A page that shows attention heads. JavaScript attributes are functions.

    Attributes:
        sign: JavaScript; null until there is a picture, then a text that differs between heads and layers.
        head, layer: JavaScript that selects a head or layer by its number; None where the page has no control for it.
        shown: CSS selector of what must be scrolled into view for that.
        package: that must be installed; make: weights [layer, head, query, key] and tokens -> HTML.
    """

    sign: str
    head: str | None
    layer: str | None
    shown: str = "body"
    package: str = ""
    make: Callable[[np.ndarray, list[str]], str] | None = None


def bertviz(name: str) -> Callable[[np.ndarray, list[str]], str]:
    """`head_view` or `model_view`."""

    def make(weights: np.ndarray, tokens: list[str]) -> str:
        import bertviz
        import torch

        attention = [torch.from_numpy(layer)[None] for layer in weights]
        return getattr(bertviz, name)(attention, tokens, html_action="return").data

    return make


def circuitsvis(weights: np.ndarray, tokens: list[str]) -> str:
    """All heads of all layers in one selector, as the documentation of CircuitsVis does for whole models."""
    from circuitsvis.attention import attention_heads

    layers, heads = weights.shape[:2]
    names = [f"L{layer}H{head}" for layer in range(layers) for head in range(heads)]
    maps = weights.reshape(-1, *weights.shape[2:])
    return attention_heads(maps, tokens, names, max_value=1, min_value=-1, mask_upper_tri=False).local_src


def inspectus(weights: np.ndarray, tokens: list[str]) -> str:
    """The four charts of inspectus, captured from IPython's display, as it has no other output."""
    from inspectus import attention

    shown: list[Any] = []
    with patch("IPython.display.display", shown.append):
        attention(weights, tokens)
    return "".join(part.data for part in shown)


def html_page(html: Any) -> str:
    """The HTML output of a notebook cell as a standalone page."""
    return f"<!doctype html><meta charset='utf-8'><title>page</title><body>{html}</body>"


CLICKED = "new MouseEvent('click', {bubbles: true})"
# A few of a canvas's pixels, as it stands on the screen.
PIXELS = """canvas => {
  const small = Object.assign(document.createElement('canvas'), {width: 24, height: 24})
  const pen = small.getContext('2d', {willReadFrequently: true})
  pen.drawImage(canvas, 0, 0, 24, 24)
  const found = pen.getImageData(0, 0, 24, 24).data
  return found.some(one => one) ? found.join() : null
}"""

# BertViz draws a line for each cell; how strong those of one token of head 2 are says which layer is there and how many
# heads are on: a click on a coloured square switches that head on or off.
LINES = """() => [...document.querySelector('#attention [head-index="2"] [left-token-index="1"]').children]
  .map(one => one.getAttribute('stroke-opacity')).join()"""
CHOSEN = """i => {
  const list = document.querySelector('#layer')
  list.value = i
  list.dispatchEvent(new Event('change', {bubbles: true}))
}"""
DETAIL = """() => {
  if (!document.querySelector('.attn_background')) return null
  return 'drawn ' + [...document.querySelectorAll('text.detail')].map(one => one.textContent).join()
}"""


def thumbnail(place: str) -> str:
    """A click on the picture of one head of BertViz's model view; place: "layer_head"."""
    return f"i => document.getElementById(`attn_background_{place}`).parentNode.lastChild.dispatchEvent({CLICKED})"


ZOOMED = f"""() => {{
  const titles = [...document.querySelectorAll('h3')], shown = [...document.querySelectorAll('canvas')]
  const pixels = ({PIXELS})(shown.at(-1))
  return pixels && titles.at(-1).textContent + pixels
}}"""
SELECTED = """number => document.querySelectorAll('canvas')[number].dispatchEvent(%s)""" % CLICKED  # noqa: UP031
CELLS = """() => {
  const cells = [...document.querySelectorAll('.cell')].slice(0, 400)
  return cells.length ? cells.map(one => one.style.fill).join() : null
}"""


def value(list_of: int) -> str:
    """A click on one of inspectus's numbers: of layers (0) or of heads (1)."""
    return f"i => document.querySelectorAll('.dimension-values')[{list_of}].children[1 + i].dispatchEvent({CLICKED})"


LIBRARY_VIEWS = {
    "BertViz, head view": View(
        LINES,
        f"i => document.querySelectorAll('#vis svg > g:last-child > rect')[1].dispatchEvent({CLICKED})",
        CHOSEN,
        "body",
        "bertviz",
        bertviz("head_view"),
    ),
    "BertViz, model view": View(
        DETAIL, thumbnail("0_${i}"), thumbnail("${i}_0"), "body", "bertviz", bertviz("model_view")
    ),
    "CircuitsVis": View(
        ZOOMED,
        f"i => ({SELECTED})(i)",
        f"i => ({SELECTED})(i * HEADS)",
        "body",
        "circuitsvis",
        circuitsvis,
    ),
    "inspectus": View(CELLS, value(1), value(0), "body", "inspectus", inspectus),
}

# Ours: the heading, which names layer and head, and the picture of the large map.
MAP = """() => {
  const heading = document.querySelector('.st-key-head_title h2')
  const drawn = document.querySelector('.st-key-heatmap .hm image')
  return heading && drawn ? heading.textContent + drawn.href.baseVal : null
}"""
# The same, once it is the figure that the server sent for that head: the browser shows it by itself before.
REDRAWN = f"() => document.body.hasAttribute('data-painted') ? null : ({MAP})()"


def pointed(layer: str, head: str) -> str:
    """The pointer moves to a tile in the picture of all heads."""
    return f"""i => {{
      const gd = document.querySelector('.st-key-mosaic .js-plotly-plot'), box = gd.getBoundingClientRect()
      const {{ xaxis, yaxis }} = gd._fullLayout
      const tile = {layer} * gd.layout.meta.tiles.heads + {head}
      const [across, down] = [gd.data[0].x[tile], gd.data[0].y[tile]]
      gd.querySelector('.nsewdrag').dispatchEvent(new PointerEvent('pointermove', {{ bubbles: true,
        clientX: box.left + xaxis._offset + xaxis.l2p(across), clientY: box.top + yaxis._offset + yaxis.l2p(down) }}))
    }}"""


TILE = ""  # a click with the mouse, on a place in the picture of all heads
OWN_VIEWS = {
    "Headlight, pointed at": View(MAP, pointed("0", "i"), pointed("i", "0"), ".st-key-mosaic"),
    "Headlight, from the server": View(REDRAWN, TILE, TILE, ".st-key-mosaic"),
}
