"""Positions: the position scheme of the open model."""

import streamlit as st

from viz.frame import model_access, results, session
from viz.language.messages import say
from viz.sections import positions
from viz.widgets import headings, output_line

trace = results.trace()
scheme = model_access.open_model().positions()
with st.container(horizontal=True, key="controls", vertical_alignment="center"):
    headings.page_heading("positions")
output_line.draw(trace)
st.caption(say(f"positions.{scheme.kind}"), help=positions.formula(scheme))
positions.SECTIONS[scheme.kind](trace, scheme, session.palette())
