"""Programs: Python as text, with arcs between what belongs together, and the heads that follow them."""

import streamlit as st

from viz.frame import session
from viz.frame.shown_run import results
from viz.sections.texts import program, reading
from viz.widgets import headings, output_line, pickers

controls = st.container(horizontal=True, key="controls", vertical_alignment="center")
with controls:
    headings.page_heading("program")
with reading.text_ahead(code=True) as texts:
    trace = results.trace()
    output_line.draw(trace)  # first: where there is no program, what was noted about the text shows all the same
    with controls:
        reading.require_text(trace)
        selected = pickers.head_stepper(trace)
    found = program.read(trace, selected.attention)
with controls:
    relation = program.pick_relation(found)
    headings.at_head(trace, selected.attention, selected.layer)
with texts.container():
    program.draw(trace, selected, found, relation, session.palette())
