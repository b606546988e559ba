"""Inside: one head's computation for one query, step by step, with the numbers of the run."""

import streamlit as st

from model.measures.head_steps import head_steps
from viz.figures import steps as figures
from viz.frame import results, session
from viz.language import readings
from viz.language.messages import escape_markdown, say
from viz.widgets import badge, headings, output_line, pickers
from viz.widgets.charts import chart_with_menu as draw

headings.page_heading("inside")
st.latex(r"\mathrm{Attention}(Q, K, V) = \mathrm{softmax}\left(\frac{QK^\top}{\sqrt{d_k}} + M\right)V")
trace = results.trace()
output_line.draw(trace)
attention = (selected := pickers.pick_head(trace)).attention
headings.require_vectors(attention)
badge.verification_badge(trace, "inside")
palette = session.palette()
row = pickers.pick_token(attention.queries, say(f"kinds.{attention.kind}_row"), f"row_{attention.kind}", start=1)
steps = head_steps(attention, selected.layer, selected.head, row)
strongest = int(steps.weights.argmax())
key = pickers.pick_token(
    attention.keys,
    say("inside.pick_key"),
    f"key_{attention.kind}_{selected.layer}_{selected.head}_{row}",
    start=strongest,
)
keys = attention.key_tokens
query_name, key_name = attention.query_tokens[row], keys[key]
st.header(say("inside.step_1"), anchor=False)
draw(figures.vector_heatmap(steps.query[None], [query_name], "query", palette), "query", say("inside.query_look"))
draw(figures.vector_heatmap(steps.keys, keys, "keys", palette, highlight=key), "keys", say("inside.keys_look"))
st.header(say("inside.step_2"), anchor=False)
left, right = st.columns(2)
with left:
    draw(figures.product_bars(steps, key, palette), "products", say("inside.products_look"))
with right:
    draw(figures.key_bars(steps.dots, keys, "dots", palette, chosen=key), "dots", say("inside.dots_look"))
st.header(say("inside.step_3"), anchor=False)
left, right = st.columns(2)
with left:
    draw(figures.key_bars(steps.scaled, keys, "scaled", palette, chosen=key), "scaled", say("inside.scaled_look"))
with right:
    masked = figures.key_bars(steps.scaled, keys, "masked", palette, allowed=steps.allowed, chosen=key)
    draw(masked, "masked", say("inside.masked_look"))
st.header(say("inside.step_4"), anchor=False)
weights = figures.key_bars(steps.weights, keys, "weights", palette, allowed=steps.allowed, chosen=key, tickformat=".0%")
draw(weights, "weights", say("inside.weights_look"))
with st.container(border=True):
    st.markdown(say("inside.cell", query=escape_markdown(query_name), key=escape_markdown(key_name)))
    for line in readings.weight_arithmetic(steps, key):
        st.latex(line)
    st.caption(say("inside.checked", error=f"{steps.error:.1e}"))
st.header(say("inside.step_5"), anchor=False)
weighted = figures.vector_heatmap(steps.weighted, keys, "weighted", palette, highlight=key)
draw(weighted, "weighted", say("inside.weighted_look"))
draw(figures.vector_heatmap(steps.output[None], [query_name], "output", palette), "output", say("inside.output_look"))
