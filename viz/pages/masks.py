"""Masks: which query may attend to which key, scores before and after the mask, and padding in a batch."""

from functools import partial

import streamlit as st

from viz.figures.masks import mask_heatmap, score_heatmap
from viz.frame import model_access, results, session
from viz.language import messages, readings
from viz.language.messages import say
from viz.widgets import badge, charts, edit_panel, headings, output_line, pickers

headings.page_heading("masks")
trace = results.trace()
output_line.draw(trace)
selected = pickers.pick_head(trace)
attention, layer, head = selected.attention, selected.layer, selected.head
palette = session.palette()

st.header(say("masks.this_run"), anchor=False)
st.markdown(say(f"masks.{attention.kind}_why"))
title = say(f"kinds.{attention.kind}_mask")
toggle_clicked = partial(edit_panel.toggle_cell, "mask", attention.kind)
figure = mask_heatmap(attention, layer, palette, title, clickable=bool(model_access.open_model().heads))
charts.chart_with_menu(
    figure,
    "mask",
    f"{readings.mask_reading(attention, layer, trace.edits)} {say('masks.paint')}",
    on_select=toggle_clicked,
)
badge.verification_badge(trace, "masks")
if attention.has_vectors:
    left, right = st.columns(2)
    with left:
        charts.chart_with_menu(
            score_heatmap(attention, layer, head, palette, masked=False), "before", say("masks.before_look")
        )
    with right:
        charts.chart_with_menu(
            score_heatmap(attention, layer, head, palette, masked=True), "after", say("masks.after_look")
        )

if trace.picture is not None:
    st.info(say("pictures.no_padding"), icon=":material/info:")
    raise session.Halt
st.header(say("masks.batch"), anchor=False)
st.markdown(say("masks.batch_why"))
other = st.text_input(say("masks.other"), say("masks.other_default"), key="other", bind="query-params")
pair = results.traces((st.session_state.text, other), (model_access.forced_target(), None), box="other")
for column, one, number in zip(st.columns(2), pair, (1, 2), strict=True):
    with column:
        st.markdown(messages.escape_markdown(one.text))
        for kind in (kind for kind in one.attentions if kind != "decoder" or len(one.attentions) == 1):
            padded = one.attentions[kind]
            title = say("masks.batch_title", mask=say(f"kinds.{kind}_mask"), number=number)
            caption = readings.mask_reading(padded, 0, one.edits)
            charts.chart_with_menu(mask_heatmap(padded, 0, palette, title), f"batch_{kind}_{number}", caption)
