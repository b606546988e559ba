"""Layers: what becomes of each token on its way up."""

import streamlit as st

from viz.figures import layers as figures
from viz.frame import links, session
from viz.frame.option_row import choice
from viz.language import readings
from viz.language.messages import say
from viz.widgets import badge, charts, headings

headings.heading("layers")
trace = session.trace()
headings.sentence(trace)
stacks = list(trace.hidden_states)
stack = choice(say("layers.stack"), stacks, stacks[0], "stack")
states, tokens = trace.hidden_states[stack], trace.tokens[stack].texts
palette = session.palette()
names = figures.depth_names(len(states))
links.take("depth", range(len(states)))
depth = st.select_slider(say("layers.depth_pick"), range(len(states)), format_func=names.__getitem__, key="depth")
links.keep("depth", depth, 0)
charts.draw(figures.activations(states, depth, tokens, palette), "activations", say("layers.activations_look"))

left, right = st.columns(2)
with left:
    charts.draw(figures.norms(states, tokens, palette), "norms", say("layers.norms_look"))
with right:
    charts.draw(figures.similarities(states, tokens, palette), "similarities", say("layers.similarities_look"))

badge.badge(trace, "layers")
charts.draw(figures.token_paths(states, tokens, palette), "paths", say("layers.paths_look"))

if stack not in trace.neurons:
    raise session.Halt
neurons = trace.neurons[stack]
st.header(say("layers.feed_forward"), anchor=False)
st.markdown(say("layers.feed_forward_why"))
layer = choice(say("pick.layer"), range(len(neurons)), 0, "ff_layer")
st.markdown(readings.firing(neurons, layer))
charts.draw(figures.neurons(neurons[layer], layer, tokens, palette), "neurons", say("layers.neurons_look"))
charts.draw(figures.sparsity(neurons, palette), "sparsity", say("layers.sparsity_look"))
