"""Positions: the position scheme of the open model."""

import streamlit as st

from viz.frame import session
from viz.frame.shown_run import results
from viz.language.messages import say
from viz.sections import positions, rotary
from viz.widgets import headings, output_line, page_check

SECTIONS = {**positions.SECTIONS, "rotary": rotary.rotary}

trace = results.trace()
output_line.draw(trace)
controls = st.container(horizontal=True, key="controls", vertical_alignment="center")
with controls:
    headings.page_heading("positions")
stack, scheme = positions.pick_scheme(trace)
if scheme.table is not None:
    page_check.claim(trace, "positions", scheme.error)
with controls:
    headings.at_box(trace, stack, "turned" if scheme.kind == "rotary" else "positions")
st.caption(say(f"positions.{scheme.kind}"), help=positions.formula(scheme))
SECTIONS.get(scheme.kind, positions.nothing)(trace, stack, scheme, session.palette())
