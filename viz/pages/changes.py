"""What changes: the output before and after, and which heads matter for this sentence."""

import streamlit as st

from model.edits import Edits
from viz import effects, parts, session
from viz.text import say

parts.heading("changes")
trace = session.trace()
parts.sentence(trace)
palette = session.palette()
if trace.edits:
    before = session.batch((session.given(),), (session.target(),), edits=Edits())[0]
    effects.before_and_after(before, trace, palette)
else:
    st.info(say("changes.none"), icon=":material/tune:")

parts.badge(trace, "changes")

st.header(say("changes.matter"), anchor=False)
st.markdown(say("changes.matter_why"))
effects.which_heads(trace, palette)
