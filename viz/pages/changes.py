"""Changes: the output before and after edits, and the effect of silencing each head."""

import streamlit as st

from model.trace.edits import Edits
from viz.frame import model_access, results, session
from viz.language.messages import say
from viz.sections import changes
from viz.widgets import badge, headings, output_line

headings.page_heading("changes")
trace = results.trace()
output_line.draw(trace)
palette = session.palette()
if trace.edits:
    before = results.traces((model_access.model_input(),), (model_access.forced_target(),), edits=Edits())[0]
    changes.output_change(before, trace, palette)
else:
    st.info(say("changes.none"), icon=":material/tune:")

badge.verification_badge(trace, "changes")

st.header(say("changes.matter"), anchor=False)
st.markdown(say("changes.matter_why"))
changes.head_effects(trace, palette)
