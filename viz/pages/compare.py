"""Compare: two heads, sentences, models or edits beside each other, all heads, and attention across layers."""

import streamlit as st

from viz.frame import results, session
from viz.language.messages import say
from viz.sections import compare_maps, compare_sides, rollout
from viz.widgets import badge, headings, output_line, pickers

headings.page_heading("compare")
trace = results.trace()
output_line.draw(trace)
st.markdown(say("compare.a"))
selected = pickers.pick_head(trace)
a = compare_sides.Side(trace, selected.attention, selected.layer, selected.head, session.chosen_model())
b = compare_sides.other_side(a)
palette = session.palette()
st.header(say("compare.two"), anchor=False)
compare_maps.map_difference(a, b, palette)
for side, one in (("a", a), ("b", b)):
    badge.verification_badge(one.trace, f"compare_{side}", one.name, exact=one is b)

st.header(say("compare.part"), anchor=False)
rollout.hidden_state_distance(a, b, palette)

st.header(say("compare.many"), anchor=False)
compare_maps.all_heads(a, palette)

st.header(say("compare.through"), anchor=False)
rollout.rollout_and_flow(a, palette)
