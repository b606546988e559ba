"""Masks: which query may look at which key, and why."""

from functools import partial

import streamlit as st

from viz.figures.masks import mask_map, score_map
from viz.frame import edit_panel, session
from viz.language import messages, readings
from viz.language.messages import say
from viz.widgets import badge, charts, headings, pickers

headings.heading("masks")
trace = session.trace()
headings.sentence(trace)
view = pickers.pick_head(trace)
attention, layer, head = view.attention, view.layer, view.head
palette = session.palette()

st.header(say("masks.this_run"), anchor=False)
st.markdown(say(f"masks.{attention.kind}_why"))
title = say(f"kinds.{attention.kind}_mask")
paint = partial(edit_panel.toggle_cell, "mask", attention.kind)
drawn = mask_map(attention, layer, palette, title, paint=bool(session.lens().heads))
charts.draw(drawn, "mask", f"{readings.forbidden(attention, layer, trace.edits)} {say('masks.paint')}", on_select=paint)
badge.badge(trace, "masks")
if attention.has_vectors:
    left, right = st.columns(2)
    with left:
        charts.draw(score_map(attention, layer, head, palette, masked=False), "before", say("masks.before_look"))
    with right:
        charts.draw(score_map(attention, layer, head, palette, masked=True), "after", say("masks.after_look"))

if trace.picture is not None:
    st.info(say("pictures.no_padding"), icon=":material/info:")
    raise session.Halt
st.header(say("masks.batch"), anchor=False)
st.markdown(say("masks.batch_why"))
other = st.text_input(say("masks.other"), say("masks.other_default"), key="other", bind="query-params")
pair = session.batch((st.session_state.text, other), (session.target(), None), box="other")
for column, one, number in zip(st.columns(2), pair, (1, 2), strict=True):
    with column:
        st.markdown(messages.plain(one.text))
        for kind in (kind for kind in one.attentions if kind != "decoder" or len(one.attentions) == 1):
            padded = one.attentions[kind]
            title = say("masks.batch_title", mask=say(f"kinds.{kind}_mask"), number=number)
            look = readings.forbidden(padded, 0, one.edits)
            charts.draw(mask_map(padded, 0, palette, title), f"batch_{kind}_{number}", look)
