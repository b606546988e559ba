"""Chemistry: a reaction as molecules, where each atom of the product looks, and the atom map that a head makes."""

import streamlit as st

from viz.frame import session
from viz.frame.shown_run import results
from viz.sections.applications import chemistry
from viz.widgets import headings, output_line, pickers

trace = results.trace()
output_line.draw(trace)
with st.container(horizontal=True, key="controls", vertical_alignment="center"):
    headings.page_heading("chemistry")
    selected = pickers.head_stepper(trace, arrows=False)
    chemistry.examples()
found = chemistry.read(trace, selected.attention)
chemistry.draw(trace, selected, found, session.palette())
