"""Code: the same head recomputed by several libraries, their source, and the head as a script."""

import streamlit as st

from model.trace.layer_inputs import MultiHeadLayer, NotMultiHead
from viz.frame.shown_run import results
from viz.language.messages import say
from viz.sections import code
from viz.widgets import headings, output_line, pickers

trace = results.unedited_trace()  # the libraries do not implement edits, so they recompute a run without any
output_line.draw(trace)
with st.container(horizontal=True, key="controls", vertical_alignment="center"):
    headings.page_heading("code")
    selected = pickers.head_stepper(trace)
    order = code.pick_libraries()
    controls = st.container()
attention, layer = selected.attention, selected.layer
if st.session_state.edits:
    st.info(say("code.unchanged"), icon=":material/info:")
headings.require_vectors(attention)
projections = results.multi_head(trace, attention.kind, layer)
with controls:
    part = code.pick_part(projections)
if isinstance(projections, NotMultiHead):
    st.caption(say(f"code.no_layer_{projections.reason}"))
layer_output = projections.output if part == "layer" and isinstance(projections, MultiHeadLayer) else None
own_output = attention.weights(layer) @ attention.value(layer) if layer_output is None else layer_output
code.library_maps(trace, selected, part, order, own_output)
code.script(trace, selected, order[0])
