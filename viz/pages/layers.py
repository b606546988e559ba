"""Layers: each token's hidden states from layer to layer, and the feed-forward activations."""

import streamlit as st

from viz.figures import layers as figures
from viz.frame import links, results, session
from viz.frame.option_row import option_row
from viz.language import readings
from viz.language.messages import say
from viz.widgets import badge, charts, headings, output_line

headings.page_heading("layers")
trace = results.trace()
output_line.draw(trace)
stacks = list(trace.hidden_states)
stack = option_row(say("layers.stack"), stacks, stacks[0], "stack")
states, tokens = trace.hidden_states[stack], trace.tokens[stack].texts
palette = session.palette()
names = figures.depth_names(len(states))
links.restore("depth", range(len(states)))
depth = st.select_slider(say("layers.depth_pick"), range(len(states)), format_func=names.__getitem__, key="depth")
links.store("depth", depth, 0)
charts.chart_with_menu(
    figures.activation_heatmap(states, depth, tokens, palette), "activations", say("layers.activations_look")
)

left, right = st.columns(2)
with left:
    charts.chart_with_menu(figures.norm_heatmap(states, tokens, palette), "norms", say("layers.norms_look"))
with right:
    charts.chart_with_menu(
        figures.embedding_similarity_heatmap(states, tokens, palette), "similarities", say("layers.similarities_look")
    )

badge.verification_badge(trace, "layers")
charts.chart_with_menu(figures.token_trajectories(states, tokens, palette), "paths", say("layers.paths_look"))

if stack not in trace.neurons:
    raise session.Halt
neurons = trace.neurons[stack]
st.header(say("layers.feed_forward"), anchor=False)
st.markdown(say("layers.feed_forward_why"))
layer = option_row(say("pick.layer"), range(len(neurons)), 0, "ff_layer")
st.markdown(readings.neuron_reading(neurons, layer))
charts.chart_with_menu(
    figures.neuron_heatmap(neurons[layer], layer, tokens, palette), "neurons", say("layers.neurons_look")
)
charts.chart_with_menu(figures.sparsity_bars(neurons, palette), "sparsity", say("layers.sparsity_look"))
