"""Tour: leads to the Heads page, where the browser points at its parts."""

import streamlit as st

from viz.widgets import tour

tour.begin()
st.switch_page("viz/pages/heads.py")
