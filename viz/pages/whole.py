"""Whole model: every box from the tokens to the next token, drawn from the run."""

import streamlit as st

from viz.frame.shown_run import results
from viz.sections import uses, whole
from viz.widgets import headings, output_line

whole.leave()
trace = results.trace()
output_line.draw(trace)
with st.container(horizontal=True, key="controls", vertical_alignment="center"):
    headings.page_heading("whole")
    st.html('<span class="whole-play"></span>')
    st.session_state.whole_controls = st.container(width="content", key="whole_step")
    uses.shortcuts()
whole.draw(trace)
