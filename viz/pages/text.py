"""Reading: a long text as text; point at a word to see what it looks at, and what looks at it."""

import streamlit as st

from viz.frame import session
from viz.frame.shown_run import results
from viz.sections.texts import reading
from viz.widgets import headings, output_line, pickers

controls = st.container(horizontal=True, key="controls", vertical_alignment="center")
with controls:
    headings.page_heading("text")
with reading.text_ahead() as texts:
    trace = results.trace()
    output_line.draw(trace)
    with controls:
        reading.require_text(trace)
        selected = pickers.head_stepper(trace)
        how = reading.pick_how(selected.attention)
        headings.at_head(trace, selected.attention, selected.layer)
with texts.container():
    reading.draw(trace, selected, how, session.palette())
