"""Compare: two heads, sentences, models or edits side by side, and all heads of one model."""

import streamlit as st

from viz import comparison, parts, session, through
from viz.text import say

parts.heading("compare")
trace = session.trace()
parts.sentence(trace)
st.markdown(say("compare.a"))
view = parts.pick_head(trace)
a = comparison.Side(trace, view.attention, view.layer, view.head, session.chosen())
b = comparison.other_side(a)
palette = session.palette()
st.header(say("compare.two"), anchor=False)
comparison.three_maps(a, b, palette)
for side, one in (("a", a), ("b", b)):
    parts.badge(one.trace, f"compare_{side}", one.name, exact=one is b)

st.header(say("compare.part"), anchor=False)
through.parting(a, b, palette)

st.header(say("compare.many"), anchor=False)
comparison.many_heads(a, palette)

st.header(say("compare.through"), anchor=False)
through.through_layers(a, palette)
