"""Heads: all of them as one picture, and one of them large beside it."""

import streamlit as st

from model.maps.words import join_silence, merge_words
from viz.frame import session
from viz.frame.shown_run import results
from viz.language.messages import say
from viz.sections.heads import head_finder, head_view
from viz.widgets import charts, headings, output_line, pickers
from viz.widgets.menus import save_menu

trace = results.trace()
output_line.draw(trace)
with st.container(horizontal=True, key="controls", vertical_alignment="center"):
    headings.page_heading("heads")
    chosen = pickers.pick_kind(trace)
    words = st.toggle(say("heads.words"), key="words", help=say("heads.words_help"), bind="query-params")
    hidden = st.toggle(say("heads.hide"), key="hide", help=say("heads.hide_help"), bind="query-params")
    headings.at_head(trace, chosen)
chosen = merge_words(chosen) if words else join_silence(chosen)
mosaic = results.mosaic(trace, chosen, session.palette())
left, right = st.columns([5, 8], gap="small")
with left:
    with st.container(key="tiles", gap=None):
        headings.mosaic_placeholder(mosaic)
        look = session.say_to_hand("heads.mosaic_look")
        charts.chart(st, mosaic, "mosaic", look, table=save_menu.weights_table(chosen), titled=False)
    save_menu.menu("mosaic")
    with st.container(key="finder"):
        head_finder.draw(trace, chosen)
with right:
    head_view.draw(trace, chosen, not hidden)
