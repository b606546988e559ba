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
parts.first_look(mosaic)
parts.draw(mosaic, "mosaic", say("heads.mosaic_look"), on_select=one_head.open_clicked, table=export.cells(chosen))
one_head.draw(trace, chosen)
