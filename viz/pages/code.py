"""Code: the same head in three libraries, each run on the sentence, and as a script to take along."""

import streamlit as st

from model.layer import Layer
from viz import libraries, parts, runs, session
from viz.text import say

parts.heading("code")
st.latex(r"\mathrm{Attention}(Q, K, V) = \mathrm{softmax}\left(\frac{QK^\top}{\sqrt{d_k}} + M\right)V")
trace = session.trace()
if trace.edits:  # the libraries know nothing of changes, so they are shown the run without any
    st.info(say("code.unchanged"), icon=":material/info:")
    trace = session.batch((session.given(),), (session.target(),))[0]
parts.sentence(trace)
view = parts.pick_head(trace)
attention, layer = view.attention, view.layer
parts.needs_vectors(attention)

found = runs.multi_head(trace, attention.kind, layer)
part = libraries.pick_part(found)
computed = libraries.run_all(trace, view, part)
whole = found.output if part == "layer" and isinstance(found, Layer) else None
libraries.maps(computed, view, attention.weights(layer) @ attention.value(layer) if whole is None else whole)
parts.badge(trace, "code")

st.header(say("code.source_title"), anchor=False)
libraries.listing(trace, view, part)
