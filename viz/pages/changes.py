"""Changes: the output before and after edits, and the effect of silencing each head."""

import streamlit as st

from viz.frame import session
from viz.frame.shown_run import results
from viz.language.messages import say
from viz.sections import changes
from viz.widgets import headings, output_line, pickers

trace = results.trace()
output_line.draw(trace)
with st.container(horizontal=True, key="controls", vertical_alignment="center"):
    headings.page_heading("changes")
    selected = pickers.head_stepper(trace)
    changes.silence_button(selected)
palette = session.palette()
if trace.edits:
    changes.output_change(results.unedited_trace(), trace, palette)
else:
    st.markdown(say("changes.none"))
changes.head_effects(trace, palette)
