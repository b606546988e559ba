"""Layers: what becomes of each token on its way up."""

import streamlit as st

from viz import links, parts, session, words
from viz.choice import choice
from viz.figures import layers as figures
from viz.text import say

parts.heading("layers")
trace = session.trace()
parts.sentence(trace)
stacks = list(trace.hidden_states)
stack = choice(say("layers.stack"), stacks, stacks[0], "stack")
states, tokens = trace.hidden_states[stack], trace.tokens[stack].texts
palette = session.palette()
names = figures.depth_names(len(states))
links.take("depth", range(len(states)))
depth = st.select_slider(say("layers.depth_pick"), range(len(states)), format_func=names.__getitem__, key="depth")
links.keep("depth", depth, 0)
parts.draw(figures.activations(states, depth, tokens, palette), "activations", say("layers.activations_look"))

left, right = st.columns(2)
with left:
    parts.draw(figures.norms(states, tokens, palette), "norms", say("layers.norms_look"))
with right:
    parts.draw(figures.similarities(states, tokens, palette), "similarities", say("layers.similarities_look"))

parts.badge(trace, "layers")
parts.draw(figures.token_paths(states, tokens, palette), "paths", say("layers.paths_look"))

if stack not in trace.neurons:
    raise session.Halt
neurons = trace.neurons[stack]
st.header(say("layers.feed_forward"), anchor=False)
st.markdown(say("layers.feed_forward_why"))
layer = choice(say("pick.layer"), range(len(neurons)), 0, "ff_layer")
st.markdown(words.firing(neurons, layer))
parts.draw(figures.neurons(neurons[layer], layer, tokens, palette), "neurons", say("layers.neurons_look"))
parts.draw(figures.sparsity(neurons, palette), "sparsity", say("layers.sparsity_look"))
