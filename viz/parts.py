"""Pieces that several pages are made of."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from model.trace import Tokens, Trace
from viz.text import plain, say

MANY = 40  # more tokens than this are chosen from a list, not from a row of buttons


def heading(page: str) -> None:
    """Title and first sentences of a page."""
    st.title(say(f"{page}.title"))
    st.markdown(say(f"{page}.intro"))


def sentence(trace: Trace) -> None:
    """What was read, what came out, where it ran, and what the reader should know about it."""
    with st.container(border=True):
        st.markdown(say("parts.sentence", text=plain(trace.text), output=plain(trace.output or "–")))
        st.caption(say("parts.ran", device=trace.device, count=len(trace.tokens["encoder"])))
    for note, detail in trace.notes:
        st.info(say(f"notes.{note}", detail=plain(detail)), icon=":material/info:")


def draw(figure: object, key: str, look: str, on_select: Callable[[], None] | None = None) -> None:
    """A figure with a caption of what to look for, which is also what a screen reader says."""
    st.plotly_chart(
        figure,
        theme=None,
        key=key,
        alt=look,
        on_select=on_select or "ignore",
        selection_mode="points",
        config={"displaylogo": False, "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"]},
    )
    st.caption(look)


def pick_token(tokens: Tokens, label: str, key: str, start: int = 0) -> int:
    """A widget to choose one token by its place; repeated tokens stay apart.

    Returns:
        The position of the token, from 0.
    """
    places = range(len(tokens))
    if st.session_state.get(key, start) not in places:
        del st.session_state[key]
    default = min(start, len(tokens) - 1)
    if len(tokens) > MANY:
        chosen = st.selectbox(label, places, default, format_func=lambda i: f"{i} · {tokens.texts[i]}", key=key)
    else:
        chosen = st.pills(
            label,
            places,
            default=default,
            required=True,
            format_func=lambda i: f"{plain(tokens.texts[i])} :small[{i}]",
            key=key,
        )
    return default if chosen is None else int(chosen)
