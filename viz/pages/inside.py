"""Inside: one head's computation for one query, a step a screen, with the numbers of the run."""

import streamlit as st

from viz.frame.shown_run import results
from viz.sections import inside
from viz.sections.decomposition import match
from viz.widgets import headings, output_line, pickers

trace = results.trace()
output_line.draw(trace)
step = inside.current_step()
with st.container(horizontal=True, key="controls", vertical_alignment="center"):
    headings.page_heading("inside")
    # The arrow keys move the slider of the fourth step.
    selected = pickers.head_stepper(trace, arrows=step != 4)
    headings.require_vectors(selected.attention)
    worked = inside.pick_query_and_key(selected)
    headings.at_head(trace, selected.attention, selected.layer)
with st.container(horizontal=True, key="steps", vertical_alignment="center"):
    inside.formula(worked.steps, step)
    inside.pick_step(step)
if step == inside.STEPS[-1]:
    match.draw(trace, worked, selected)
else:
    inside.draw(worked, step, trace.edits, selected)
