"""Pieces that several pages are made of."""

from __future__ import annotations

from typing import Any

import streamlit as st

from model.trace.attention import Attention
from model.trace.edits import Edits
from model.trace.trace import Trace
from viz.figures.heads import MOSAIC_MARGIN
from viz.frame import session
from viz.language import readings
from viz.language.messages import brief, plain, say
from viz.widgets.charts import aloud


def heading(page: str) -> None:
    """Title and first sentences of a page."""
    st.title(say(f"{page}.title"), anchor=False)
    st.markdown(say(f"{page}.intro"))


def first_look(mosaic: Any) -> None:
    """The picture of all heads, where its figure will be, until the browser has drawn that; once a session.

    The browser fetches what draws figures first: a second and more.
    """
    room = st.empty()  # also where it stays so: what stands below keeps its place
    if st.session_state.get("looked"):
        return
    st.session_state.looked = True
    left, right, top, bottom = (MOSAIC_MARGIN[side] for side in "lrtb")
    high, picture = mosaic.layout.height - top - bottom, mosaic.layout.images[0].source
    place = f"left: {left}px; top: {top}px; width: calc(100% - {left + right}px); height: {high}px"
    room.html(f'<img alt="" src="{picture}" style="{place}">')


def sentence(trace: Trace) -> None:
    """What was read, what came out, where it ran, and what the reader should know about it."""
    with st.container(border=True):
        verb = "read" if trace.picture is None else "saw"
        text = {"text": plain(brief(trace.text)), "output": plain(trace.output or "")}
        aloud(say(f"parts.{verb}_and_said" if trace.output else f"parts.{verb}", **text))
        number = session.lens().dtype
        ran_on = trace.device if number == "float32" else say("export.ran", device=trace.device, dtype=number)
        st.caption(say("parts.ran", device=ran_on, count=len(next(iter(trace.tokens.values())))))
    told(trace)


def told(trace: Trace) -> None:
    """What was changed in a run, and what the reader should know about how its text was read."""
    if trace.edits:
        with st.container(border=True):
            st.markdown(say("change.here"))
            for name, where, value in trace.edits.items():
                beyond = name == "blocked" and not _has_cell(trace, where)
                st.markdown(f"- {readings.change(name, where, value)}{' ' + say('change.beyond') if beyond else ''}")
            st.button(
                say("change.undo_all"),
                key="undo_all",
                icon=":material/undo:",
                on_click=session.set_edits,
                args=(Edits(),),
            )
    for note, detail in trace.notes:
        st.info(say(f"notes.{note}", detail=plain(detail)), icon=":material/info:")


def _has_cell(trace: Trace, where: tuple[Any, ...]) -> bool:
    """Whether a run has the tokens that a forbidden cell names."""
    kind, query, key = where[:3]
    attention = trace.attentions.get(kind)
    return attention is not None and key < len(attention.keys) and (query or 0) < len(attention.queries)


def needs_vectors(attention: Attention) -> None:
    """Stop a page that needs q, k and v, with a sentence, where the model's family does not show them."""
    if not attention.has_vectors:
        st.info(say("parts.no_vectors"), icon=":material/info:")
        raise session.Halt
