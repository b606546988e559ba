"""Code: the same head in three libraries, each run on the sentence, and as a script to take along."""

import streamlit as st

from model.trace.layer_inputs import Layer
from viz.frame import results, session
from viz.language.messages import say
from viz.sections import code
from viz.widgets import badge, headings, pickers

headings.heading("code")
st.latex(r"\mathrm{Attention}(Q, K, V) = \mathrm{softmax}\left(\frac{QK^\top}{\sqrt{d_k}} + M\right)V")
trace = session.trace()
if trace.edits:  # the libraries know nothing of changes, so they are shown the run without any
    st.info(say("code.unchanged"), icon=":material/info:")
    trace = session.batch((session.given(),), (session.target(),))[0]
headings.sentence(trace)
view = pickers.pick_head(trace)
attention, layer = view.attention, view.layer
headings.needs_vectors(attention)

found = results.multi_head(trace, attention.kind, layer)
part = code.pick_part(found)
computed = code.run_all(trace, view, part)
whole = found.output if part == "layer" and isinstance(found, Layer) else None
code.maps(computed, view, attention.weights(layer) @ attention.value(layer) if whole is None else whole)
badge.badge(trace, "code")

st.header(say("code.source_title"), anchor=False)
code.listing(trace, view, part)
