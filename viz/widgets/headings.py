"""The head of a page: title, summary of the run, its edits and notes; the placeholder of the mosaic of heads."""

from __future__ import annotations

from typing import Any

import streamlit as st

from model.trace.attention import Attention
from model.trace.edits import Edits
from model.trace.trace import Trace
from viz.figures.heads import MOSAIC_MARGIN
from viz.frame import model_access, session
from viz.language import readings
from viz.language.messages import abbreviated, escape_markdown, say
from viz.widgets.charts import announced_markdown


def page_heading(page: str) -> None:
    """Draw the title and the introduction of a page. page: its name among the texts"""
    st.title(say(f"{page}.title"), anchor=False)
    st.markdown(say(f"{page}.intro"))


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
    height, image = mosaic.layout.height - top - bottom, mosaic.layout.images[0].source
    style = f"left: {left}px; top: {top}px; width: calc(100% - {left + right}px); height: {height}px"
    place.html(f'<img alt="" src="{image}" style="{style}">')


def run_summary(trace: Trace) -> None:
    """Draw the input and output of a run, its device and token count, its edits and notes."""
    with st.container(border=True):
        verb = "read" if trace.picture is None else "saw"
        text = {"text": escape_markdown(abbreviated(trace.text)), "output": escape_markdown(trace.output or "")}
        announced_markdown(say(f"parts.{verb}_and_said" if trace.output else f"parts.{verb}", **text))
        dtype = model_access.open_model().dtype
        ran_on = trace.device if dtype == "float32" else say("export.ran", device=trace.device, dtype=dtype)
        st.caption(say("parts.ran", device=ran_on, count=len(next(iter(trace.tokens.values())))))
    edits_and_notes(trace)


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
