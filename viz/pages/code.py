"""Code: the same head recomputed by several libraries, their source, and the head as a script."""

import streamlit as st

from model.trace.layer_inputs import MultiHeadLayer
from viz.frame import model_access, results
from viz.language.messages import say
from viz.sections import code
from viz.widgets import badge, headings, output_line, pickers

headings.page_heading("code")
st.latex(r"\mathrm{Attention}(Q, K, V) = \mathrm{softmax}\left(\frac{QK^\top}{\sqrt{d_k}} + M\right)V")
trace = results.trace()
if trace.edits:  # the libraries do not implement edits, so they recompute a run without any
    st.info(say("code.unchanged"), icon=":material/info:")
    trace = results.traces((model_access.model_input(),), (model_access.forced_target(),))[0]
output_line.draw(trace)
selected = pickers.pick_head(trace)
attention, layer = selected.attention, selected.layer
headings.require_vectors(attention)

projections = results.multi_head(trace, attention.kind, layer)
part = code.pick_part(projections)
runs = code.run_libraries(trace, selected, part)
layer_output = projections.output if part == "layer" and isinstance(projections, MultiHeadLayer) else None
own_output = attention.weights(layer) @ attention.value(layer) if layer_output is None else layer_output
code.library_maps(runs, selected, own_output)
badge.verification_badge(trace, "code")

st.header(say("code.source_title"), anchor=False)
code.source_and_script(trace, selected, part)
