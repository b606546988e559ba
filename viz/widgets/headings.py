"""The head of a page: title, summary of the run, its edits and notes; the placeholder of the mosaic of heads."""

from __future__ import annotations

from typing import Any

import streamlit as st

from model.trace.attention import Attention
from model.trace.edits import Edits
from model.trace.trace import Trace
from viz.figures.heads import MOSAIC_MARGIN
from viz.figures.theme import TITLE_ROOM
from viz.frame import session
from viz.language import readings
from viz.language.messages import escape_markdown, say


def page_heading(page: str) -> None:
    """Draw the title of a page, its introduction behind a question mark. page: its name among the texts"""
    st.title(say(f"{page}.title"), anchor=False, help=say(f"{page}.intro"))


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
    height, image = mosaic.layout.height - TITLE_ROOM - top - bottom, mosaic.layout.images[0].source
    style = f"left: {left}px; top: {top}px; width: calc(100% - {left + right}px); height: {height}px; "
    style += "object-fit: contain; object-position: left top"
    place.html(f'<img alt="" src="{image}" style="{style}">')


def edits_and_notes(trace: Trace) -> None:
    """Draw the edits of a run, with an undo button, and notes on how its input was read."""
    if trace.edits:
        with st.container(border=True):
            st.markdown(say("change.here"))
            for name, where, value in trace.edits.items():
                outside = name == "blocked" and not _has_cell(trace, where)
                st.markdown(
                    f"- {readings.edit_reading(name, where, value)}{' ' + say('change.beyond') if outside else ''}"
                )
            st.button(
                say("change.undo_all"),
                key="undo_all",
                icon=":material/undo:",
                on_click=session.set_edits,
                args=(Edits(),),
            )
    for note, detail in trace.notes:
        st.info(say(f"notes.{note}", detail=escape_markdown(detail)), icon=":material/info:")


def _has_cell(trace: Trace, where: tuple[Any, ...]) -> bool:
    """Whether a run has the tokens of a blocked cell. where: kind, query, key"""
    kind, query, key = where[:3]
    attention = trace.attentions.get(kind)
    return attention is not None and key < len(attention.keys) and (query or 0) < len(attention.queries)


def require_vectors(attention: Attention) -> None:
    """End a page that needs q, k and v where they were not recorded.

    Raises:
        Halt: the model's family does not expose them, and the page says so.
    """
    if not attention.has_vectors:
        st.info(say("parts.no_vectors"), icon=":material/info:")
        raise session.Halt
