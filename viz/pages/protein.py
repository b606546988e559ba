"""Proteins: a sequence as residues, what a head looks at, and its contacts beside those of the known structure."""

import streamlit as st

from viz.frame import session
from viz.frame.shown_run import results
from viz.sections.applications import protein, structures
from viz.widgets import headings, output_line, pickers

trace = results.trace()
output_line.draw(trace)
with st.container(horizontal=True, key="controls", vertical_alignment="center"):
    headings.page_heading("protein")
    selected = pickers.head_stepper(trace, arrows=False)
    chains = structures.choose(trace.text)
found = protein.read(trace, selected.attention, chains)
protein.draw(trace, selected, found, session.palette())
