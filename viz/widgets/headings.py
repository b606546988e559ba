"""The title of a page, where in the model it is, the placeholder of all heads, the end of a page that cannot go on."""

from __future__ import annotations

from typing import Any

import streamlit as st

from model.trace.attention import Attention
from model.trace.trace import Trace
from viz.figures.figure_parts import parts
from viz.figures.linking import query_stack
from viz.figures.theme import TITLE_ROOM
from viz.figures.tiles import MOSAIC_MARGIN
from viz.frame import lesson_guide, session
from viz.language.messages import say


def page_heading(page: str) -> None:
    """Draw the title of a page, its introduction behind a question mark. page: its name among the texts"""
    st.session_state.page_drawn = page
    st.title(say(f"{page}.title"), anchor=False, help=session.say_to_hand(f"{page}.intro"))


def at_head(trace: Trace, attention: Attention, layer: int | None = None) -> None:
    """Say where in the model an attention is, as `at_box` does.

    Args:
        layer: of those that have attention; None where the page shows all, and the browser lights the chosen one.
    """
    kind = attention.kind
    box = "cross_attention" if kind == "cross" else "masked" if kind == "decoder" else "self"
    at_box(trace, query_stack(kind), box, None if layer is None else attention.layer_index[layer])


def at_box(trace: Trace, stack: str, box: str | None = None, layer: int | None = None) -> None:
    """Draw where in the model the page is, in one line: a slice a layer, and words that lead back to the whole model.

    For a horizontal container of the page's controls, as its last element; nothing in a lesson, which leads itself.

    Args:
        stack: "encoder" or "decoder".
        box: its name among the texts of the whole model; None for all of a stack.
        layer: of the model; None for none.
    """
    if lesson_guide.current_step() is not None:
        return
    counts: dict[str, int] = {}
    for kind, attention in trace.attentions.items():
        counts[query_stack(kind)] = max(counts.get(query_stack(kind), 0), max(attention.layer_index, default=-1) + 1)
    words = [say("whole.title"), *([say(f"kinds.{stack}")] if len(counts) > 1 else [])]
    words += [] if layer is None else [say("whole.layer", layer=layer)]
    words += [] if box is None else [say(f"whole.{box}")]
    slices = "".join(
        _slices(count, layer if name == stack else None) for name, count in sorted(counts.items(), reverse=True)
    )
    with st.container(horizontal=True, key="here", vertical_alignment="center", gap="small"):
        st.html(f'<span class="here" data-stack="{stack}" aria-hidden="true">{slices}</span>', width="content")
        st.page_link("viz/pages/whole.py", label=" › ".join(words), help=say("whole.back_here"), width="content")


def _slices(count: int, here: int | None) -> str:
    """A slice a layer as HTML, one of them lit."""
    found = (f'<i data-layer="{layer}"{" data-here" if layer == here else ""}></i>' for layer in range(count))
    return f'<span class="here-stack">{"".join(found)}</span>'


def mosaic_placeholder(mosaic: Any) -> None:
    """Draw the image of a mosaic figure in its place, once a session, until the browser has loaded Plotly.

    Args:
        mosaic: the figure that `viz.figures.heads.head_mosaic` returns.
    """
    place = st.empty()  # on later runs it stays empty, so that the elements below keep their places
    if st.session_state.get("looked"):
        return
    st.session_state.looked = True
    left, right, top, bottom = (MOSAIC_MARGIN[side] for side in "lrtb")
    top -= TITLE_ROOM
    drawn = parts(mosaic).layout
    height, image = drawn.height - TITLE_ROOM - top - bottom, drawn.images[0].source
    style = f"left: {left}px; top: {top}px; width: calc(100% - {left + right}px); height: {height}px; "
    style += "object-fit: contain; object-position: left top"
    place.html(f'<img alt="" src="{image}" style="{style}">')


def require_vectors(attention: Attention) -> None:
    """End a page that needs q, k and v where they were not recorded.

    Raises:
        Halt: the model's family does not expose them, and the page says so.
    """
    if not attention.has_vectors:
        session.halt(say("parts.no_vectors"))
