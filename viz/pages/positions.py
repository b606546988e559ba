"""Positions: how a model without order in it learns where a token stands; the scheme of the model that is open."""

import streamlit as st

from viz.frame import session
from viz.language.messages import say
from viz.sections import positions
from viz.widgets import headings

headings.heading("positions")
scheme = session.lens().positions()
st.markdown(say(f"positions.{scheme.kind}"))
positions.SECTIONS[scheme.kind](scheme, session.palette())
