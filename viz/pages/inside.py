"""Inside a head: the formula, step by step, with the run's own numbers."""

import streamlit as st

from model.measures.head_steps import head_steps
from viz.figures import steps as figures
from viz.frame import session
from viz.language import readings
from viz.language.messages import plain, say
from viz.widgets import badge, charts, headings, pickers

headings.heading("inside")
st.latex(r"\mathrm{Attention}(Q, K, V) = \mathrm{softmax}\left(\frac{QK^\top}{\sqrt{d_k}} + M\right)V")
trace = session.trace()
headings.sentence(trace)
attention = (view := pickers.pick_head(trace)).attention
headings.needs_vectors(attention)
badge.badge(trace, "inside")
palette = session.palette()
row = pickers.pick_token(attention.queries, say(f"kinds.{attention.kind}_row"), f"row_{attention.kind}", start=1)
steps = head_steps(attention, view.layer, view.head, row)
strongest = int(steps.weights.argmax())
key = pickers.pick_token(
    attention.keys, say("inside.pick_key"), f"key_{attention.kind}_{view.layer}_{view.head}_{row}", start=strongest
)
keys = attention.key_tokens
asking, asked = [attention.query_tokens[row]], [keys[key]]

st.header(say("inside.step_1"), anchor=False)
charts.draw(figures.vectors(steps.query[None], asking, "query", palette), "query", say("inside.query_look"))
charts.draw(figures.vectors(steps.keys, keys, "keys", palette, highlight=key), "keys", say("inside.keys_look"))

st.header(say("inside.step_2"), anchor=False)
left, right = st.columns(2)
with left:
    charts.draw(figures.products(steps, key, palette), "products", say("inside.products_look"))
with right:
    charts.draw(figures.bars(steps.dots, keys, "dots", palette, chosen=key), "dots", say("inside.dots_look"))

st.header(say("inside.step_3"), anchor=False)
left, right = st.columns(2)
with left:
    charts.draw(figures.bars(steps.scaled, keys, "scaled", palette, chosen=key), "scaled", say("inside.scaled_look"))
with right:
    masked = figures.bars(steps.scaled, keys, "masked", palette, allowed=steps.allowed, chosen=key)
    charts.draw(masked, "masked", say("inside.masked_look"))

st.header(say("inside.step_4"), anchor=False)
weights = figures.bars(steps.weights, keys, "weights", palette, allowed=steps.allowed, chosen=key, tickformat=".0%")
charts.draw(weights, "weights", say("inside.weights_look"))
with st.container(border=True):
    st.markdown(say("inside.cell", query=plain(asking[0]), key=plain(asked[0])))
    for line in readings.arithmetic(steps, key):
        st.latex(line)
    st.caption(say("inside.checked", error=f"{steps.error:.1e}"))

st.header(say("inside.step_5"), anchor=False)
weighted = figures.vectors(steps.weighted, keys, "weighted", palette, highlight=key)
charts.draw(weighted, "weighted", say("inside.weighted_look"))
charts.draw(figures.vectors(steps.output[None], asking, "output", palette), "output", say("inside.output_look"))
