"""Heads: all of them as one picture, and one of them large."""

import streamlit as st

from model.words import merge_words
from viz import export, one_head, parts, runs, session
from viz.text import say


def open_clicked() -> None:
    """Open the head whose thumbnail was clicked."""
    points = st.session_state.mosaic.selection.points
    tile = points[0]["customdata"][:2] if points else st.session_state.get("tile")
    if tile:  # a second click on the same thumbnail only ends its selection
        st.session_state.tile = tile
        st.session_state.layer, st.session_state.head = (int(i) for i in tile)


parts.heading("heads")
trace = session.trace()
parts.sentence(trace)
chosen = parts.pick_kind(trace)
if st.toggle(say("heads.words"), key="words", help=say("heads.words_help"), bind="query-params"):
    chosen = merge_words(chosen)
mosaic = runs.mosaic(trace, chosen, session.palette())
parts.first_look(mosaic)
parts.draw(mosaic, "mosaic", say("heads.mosaic_look"), on_select=open_clicked, table=export.cells(chosen))
one_head.draw(trace, chosen)
