"""Layers: each token's hidden states from layer to layer, and the feed-forward activations."""

import streamlit as st

from model.trace.check import Probe
from viz.frame import session
from viz.frame.shown_run import results
from viz.sections import layers
from viz.widgets import headings, output_line, page_check

trace = results.trace()
output_line.draw(trace)
with st.container(horizontal=True, key="controls", vertical_alignment="center"):
    headings.page_heading("layers")
    stack = layers.pick_stack(list(trace.hidden_states))
    headings.at_box(trace, stack)
states, tokens = layers.shown(trace, stack)
palette = session.palette()
layers.massive_reading(states, tokens)
layers.player(trace, stack, palette)
layers.all_depths(states, tokens, stack, palette)
if stack in trace.neurons:
    page_check.claim(trace, "neurons", Probe(neurons={stack: trace.neurons[stack]}))
    layers.feed_forward(trace.neurons[stack][:, : len(tokens)], tokens, stack, palette)
