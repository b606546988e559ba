"""The sections of the Compare page that look through all layers: where two runs part, and where content comes from."""

from __future__ import annotations

import numpy as np
import streamlit as st

from model.maps import rollout
from model.measures import alignment, hidden_states
from viz.figures import compare as figures
from viz.figures.layers import depth_names
from viz.figures.theme import Palette
from viz.language.messages import say
from viz.sections.compare_maps import Side
from viz.widgets import charts, pickers

FLOWS = 24  # longest text whose flows are worked out: each is a maximum-flow problem of its own


def parting(a: Side, b: Side, palette: Palette) -> None:
    """Where in the layers two runs of one model part."""
    if a.trace is b.trace:
        st.caption(say("compare.one_run"))
        return
    for stack in a.trace.hidden_states:
        states = [side.trace.hidden_states.get(stack) for side in (a, b)]
        if a.name != b.name or states[0] is None or states[1] is None:
            st.info(say("compare.other_shape"), icon=":material/info:")
            return
        tokens = [side.trace.tokens[stack] for side in (a, b)]
        pairs = alignment.align(*tokens)
        distance = hidden_states.state_distance(states[0], states[1], pairs)
        drawn = figures.states(distance, figures.axes(pairs, *tokens), depth_names(len(distance)), palette)
        st.markdown(f"**{say('kinds.' + stack)}**")
        charts.draw(drawn, f"states_{stack}", say("compare.states_look"))


def through_layers(a: Side, palette: Palette) -> None:
    """Beyond single maps: rollout and flow from a chosen token down to the input."""
    if a.attention.kind == "cross":
        st.info(say("compare.self_only"), icon=":material/info:")
        return
    st.markdown(say("compare.through_why"))
    tokens = a.attention.queries
    row = pickers.pick_token(tokens, say("compare.through_row"), f"through_{a.attention.kind}", start=len(tokens) - 1)
    raw = a.attention.row(a.layer, row)[a.head].astype(np.float64)
    found = {"raw": raw, "rollout": a.attention.together("rollout", a.layer, row)}
    if len(tokens) <= FLOWS:
        layers = np.stack([a.attention.together("mixing", layer) for layer in range(a.layer + 1)])
        flow = rollout.flow(layers, a.layer, row)
        found["flow"] = flow / flow.sum()
    else:
        st.caption(say("compare.flow_long", most=FLOWS))
    labels = [tokens.name(i) for i in range(len(tokens))]
    drawn = figures.shares(found, labels, palette)
    charts.draw(drawn, "through", say("compare.through_look", layer=a.layer))
    for name in found:
        st.markdown(say(f"compare.claim_{name}"))
