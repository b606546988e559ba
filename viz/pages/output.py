"""Output: how the next token is chosen, one step at a time; the logit lens; masked words."""

import streamlit as st

from viz.frame import session
from viz.language.messages import say
from viz.sections import output
from viz.widgets import badge, headings

headings.heading("output")
palette = session.palette()
if session.lens().writes:
    how, forced = output.choose()
    trace, decoded = output.written(how, forced)
    output.whole(trace, decoded, palette)
    st.header(say("output.steps"), anchor=False)
    output.step_by_step(trace, palette)
    badge.badge(trace, "output", exact=True)
    output.alignment(trace, palette)
else:
    trace = session.trace()
    headings.sentence(trace)
    output.masked_word(trace, palette)
output.logit_lens(trace, palette)
