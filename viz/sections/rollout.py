"""The sections of the Compare page about all layers: distance of hidden states, attention rollout and flow."""

from __future__ import annotations

import numpy as np
import streamlit as st

from model.maps import rollout
from model.measures import alignment, hidden_states
from viz.figures import compare_runs as figures
from viz.figures.layers import depth_names
from viz.figures.theme import Palette
from viz.language.messages import say
from viz.sections.compare_sides import Side
from viz.widgets import charts, pickers

MAX_FLOW_TOKENS = 24  # longest text for attention flow, which solves a maximum-flow problem per token


def hidden_state_distance(a: Side, b: Side, palette: Palette) -> None:
    """Draw the distance of the hidden states of two runs of one model, by layer and aligned token."""
    if a.trace is b.trace:
        st.caption(say("compare.one_run"))
        return
    for stack in a.trace.hidden_states:
        states = [side.trace.hidden_states.get(stack) for side in (a, b)]
        if a.name != b.name or states[0] is None or states[1] is None:
            st.info(say("compare.other_shape"), icon=":material/info:")
            return
        tokens = [side.trace.tokens[stack] for side in (a, b)]
        pairs = alignment.align_tokens(*tokens)
        distance = hidden_states.state_distance(states[0], states[1], pairs)
        figure = figures.state_distance_heatmap(
            distance, figures.aligned_labels(pairs, *tokens), depth_names(len(distance)), palette
        )
        st.markdown(f"**{say('kinds.' + stack)}**")
        charts.chart_with_menu(figure, f"states_{stack}", say("compare.states_look"))


def rollout_and_flow(a: Side, palette: Palette) -> None:
    """Draw raw attention, rollout and flow from a chosen token to the input tokens.

    Source: Abnar & Zuidema, "Quantifying Attention Flow in Transformers" (2020).
    """
    if a.attention.kind == "cross":
        st.info(say("compare.self_only"), icon=":material/info:")
        return
    st.markdown(say("compare.through_why"))
    tokens = a.attention.queries
    row = pickers.pick_token(tokens, say("compare.through_row"), f"through_{a.attention.kind}", start=len(tokens) - 1)
    raw = a.attention.row(a.layer, row)[a.head].astype(np.float64)
    shares = {"raw": raw, "rollout": a.attention.across_layers("rollout", a.layer, row)}
    if len(tokens) <= MAX_FLOW_TOKENS:
        layers = np.stack([a.attention.across_layers("attention_with_residual", layer) for layer in range(a.layer + 1)])
        flow = rollout.flow(layers, a.layer, row)
        shares["flow"] = flow / flow.sum()
    else:
        st.caption(say("compare.flow_long", most=MAX_FLOW_TOKENS))
    labels = [tokens.name(i) for i in range(len(tokens))]
    figure = figures.share_bars(shares, labels, palette)
    charts.chart_with_menu(figure, "through", say("compare.through_look", layer=a.layer))
    for name in shares:
        st.markdown(say(f"compare.claim_{name}"))
