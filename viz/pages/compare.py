"""Compare: two heads, sentences, models or edits side by side, and all heads of one model."""

import streamlit as st

from viz.frame import session
from viz.language.messages import say
from viz.sections import compare_maps, rollout
from viz.widgets import badge, headings, pickers

headings.heading("compare")
trace = session.trace()
headings.sentence(trace)
st.markdown(say("compare.a"))
view = pickers.pick_head(trace)
a = compare_maps.Side(trace, view.attention, view.layer, view.head, session.chosen())
b = compare_maps.other_side(a)
palette = session.palette()
st.header(say("compare.two"), anchor=False)
compare_maps.three_maps(a, b, palette)
for side, one in (("a", a), ("b", b)):
    badge.badge(one.trace, f"compare_{side}", one.name, exact=one is b)

st.header(say("compare.part"), anchor=False)
rollout.parting(a, b, palette)

st.header(say("compare.many"), anchor=False)
compare_maps.many_heads(a, palette)

st.header(say("compare.through"), anchor=False)
rollout.through_layers(a, palette)
