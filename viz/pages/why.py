"""Why: attention against a recurrent network, measured on this machine."""

import streamlit as st

from viz.frame import session
from viz.language.messages import say
from viz.sections import why
from viz.widgets import headings

headings.page_heading("why")
if "readings" not in st.session_state:  # the figures take its place
    st.markdown(say("why.intro"))
why.recurrence_benchmark(session.palette())
