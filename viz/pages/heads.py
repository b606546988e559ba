"""Heads: all of them as one picture, and one of them large."""

import streamlit as st

from model.maps.words import merge_words
from viz.frame import results, session
from viz.language.messages import say
from viz.sections import one_head
from viz.widgets import charts, headings, pickers, save_menu

headings.page_heading("heads")
trace = results.trace()
headings.run_summary(trace)
chosen = pickers.pick_kind(trace)
if st.toggle(say("heads.words"), key="words", help=say("heads.words_help"), bind="query-params"):
    chosen = merge_words(chosen)
mosaic = results.mosaic(trace, chosen, session.palette())
with st.container(key="tiles", gap=None):
    headings.mosaic_placeholder(mosaic)
    tile = st.empty()
    look, table = say("heads.mosaic_look"), save_menu.weights_table(chosen)
    charts.chart(st, mosaic, "mosaic", look, on_select=one_head.open_clicked, table=table)
save_menu.menu("mosaic")
one_head.draw(trace, chosen, tile)
