"""Positions: how a model without order in it learns where a token stands; the scheme of the model that is open."""

import streamlit as st

from viz import parts, schemes, session
from viz.text import say

parts.heading("positions")
scheme = session.lens().positions()
st.markdown(say(f"positions.{scheme.kind}"))
schemes.SECTIONS[scheme.kind](scheme, session.palette())
