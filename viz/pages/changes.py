"""What changes: the output before and after, and which heads matter for this sentence."""

import streamlit as st

from model.trace.edits import Edits
from viz.frame import session
from viz.language.messages import say
from viz.sections import changes
from viz.widgets import badge, headings

headings.heading("changes")
trace = session.trace()
headings.sentence(trace)
palette = session.palette()
if trace.edits:
    before = session.batch((session.given(),), (session.target(),), edits=Edits())[0]
    changes.before_and_after(before, trace, palette)
else:
    st.info(say("changes.none"), icon=":material/tune:")

badge.badge(trace, "changes")

st.header(say("changes.matter"), anchor=False)
st.markdown(say("changes.matter_why"))
changes.which_heads(trace, palette)
