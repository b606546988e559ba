"""Compare: two heads, sentences, models or edits beside each other, all heads, and attention across layers."""

import streamlit as st

from model.maps.words import join_silence
from viz.frame.shown_run import results
from viz.sections.compare import compare_maps, compare_sides
from viz.widgets import headings, output_line, pickers

trace = results.trace()
output_line.draw(trace)
with st.container(horizontal=True, key="controls", vertical_alignment="center"):
    headings.page_heading("compare")
    attention = join_silence(pickers.pick_kind(trace))
    preset = compare_sides.pick_preset(trace)
    view = compare_maps.pick_view(trace, attention)
other = compare_sides.other_run(trace, preset)
compare_maps.draw(trace, attention, other, view)
compare_sides.draw_badge(trace, other)
