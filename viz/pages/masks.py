"""Masks: which query may attend to which key, scores before and after the mask, and padding in a batch."""

import streamlit as st

from viz.frame import session
from viz.frame.shown_run import results
from viz.language.messages import say
from viz.sections import masks
from viz.widgets import headings, output_line

trace = results.trace()
output_line.draw(trace)
with st.container(horizontal=True, key="controls", vertical_alignment="center"):
    headings.page_heading("masks")
    selected = masks.pick_head(trace)
    headings.at_head(trace, selected.attention, selected.layer)
palette = session.palette()
masks.mask_and_scores(trace, selected, palette)
if trace.picture is not None:
    session.halt(say("pictures.no_padding"))
if trace.sound is not None:
    session.halt(say("sounds.no_padding"))
masks.padding(palette)
