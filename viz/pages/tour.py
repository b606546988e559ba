"""Tour: leads to the whole model, where the browser begins to point at the parts of the pages."""

import streamlit as st

from viz.widgets import tour

tour.begin()
st.switch_page("viz/pages/whole.py", query_params={})  # Streamlit refuses without: widgets are in the link
