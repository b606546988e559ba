"""Positions: the position scheme of the open model."""

import streamlit as st

from viz.frame import model_access, session
from viz.language.messages import say
from viz.sections import positions
from viz.widgets import headings

headings.page_heading("positions")
scheme = model_access.open_model().positions()
st.markdown(say(f"positions.{scheme.kind}"))
positions.SECTIONS[scheme.kind](scheme, session.palette())
