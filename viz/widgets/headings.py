"""The title of a page; the placeholder of the mosaic of heads; the end of a page that cannot go on."""

from __future__ import annotations

from typing import Any

import streamlit as st

from model.trace.attention import Attention
from viz.figures.theme import TITLE_ROOM
from viz.figures.tiles import MOSAIC_MARGIN
from viz.frame import session
from viz.language.messages import say


def page_heading(page: str) -> None:
    """Draw the title of a page, its introduction behind a question mark. page: its name among the texts"""
    st.session_state.page_drawn = page
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


def require_vectors(attention: Attention) -> None:
    """End a page that needs q, k and v where they were not recorded.

    Raises:
        Halt: the model's family does not expose them, and the page says so.
    """
    if not attention.has_vectors:
        st.info(say("parts.no_vectors"), icon=":material/info:")
        raise session.Halt
