"""Heads: all of them as one picture, and one of them large."""

import streamlit as st

from model.words import merge_words
from viz import export, one_head, parts, runs, session
from viz.text import say

parts.heading("heads")
trace = session.trace()
parts.sentence(trace)
chosen = parts.pick_kind(trace)
if st.toggle(say("heads.words"), key="words", help=say("heads.words_help"), bind="query-params"):
    chosen = merge_words(chosen)
mosaic = runs.mosaic(trace, chosen, session.palette())
with st.container(key="tiles", gap=None):
    parts.first_look(mosaic)
    tile = st.empty()
    look, table = say("heads.mosaic_look"), export.cells(chosen)
    parts.chart(st, mosaic, "mosaic", look, on_select=one_head.open_clicked, table=table)
export.menu("mosaic")
one_head.draw(trace, chosen, tile)
