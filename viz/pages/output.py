"""Output: decoding step by step, or masked tokens; the logit lens."""

import streamlit as st

from viz.frame import model_access, results, session
from viz.language.messages import say
from viz.sections import output
from viz.widgets import badge, headings, output_line

headings.page_heading("output")
palette = session.palette()
if model_access.open_model().writes:
    decoding, forced = output.pick_decoding()
    trace, decoded = output.generated_trace(decoding, forced)
    output.output_summary(trace, decoded, palette)
    st.header(say("output.steps"), anchor=False)
    output.decoding_step(trace, palette)
    badge.verification_badge(trace, "output", exact=True)
    output.cross_attention_alignment(trace, palette)
else:
    trace = results.trace()
    output_line.draw(trace)
    output.masked_token(trace, palette)
output.logit_lens(trace, palette)
