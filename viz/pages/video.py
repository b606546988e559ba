"""Video: the frames of a clip beside each other, what a patch looks at in all of them, and the true track."""

import streamlit as st

from viz.frame import session
from viz.frame.shown_run import results
from viz.sections.applications import video
from viz.widgets import headings, output_line, pickers

trace = results.trace()
output_line.draw(trace)
with st.container(horizontal=True, key="controls", vertical_alignment="center"):
    headings.page_heading("video")
    picture = video.require_picture(trace)
    selected = pickers.head_stepper(trace, arrows=False)
    headings.at_head(trace, selected.attention, selected.layer)
video.draw(trace, picture, selected, session.palette())
