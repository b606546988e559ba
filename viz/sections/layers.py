"""The sections of the Layers page: hidden states at a depth that plays, all depths, and feed-forward neurons."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import streamlit as st

from model.measures.hidden_states import massive_states
from model.trace.tokens import Tokens
from model.trace.trace import Trace
from viz.figures import layers as figures
from viz.figures.full_grid import cut_reading
from viz.figures.linking import query_stack
from viz.figures.theme import Palette
from viz.frame import links
from viz.frame.fragments import page_fragment
from viz.frame.option_row import option_row
from viz.language import readings
from viz.language.messages import escape_markdown, say
from viz.widgets import charts, focus
from viz.widgets.menus import save_menu

PACE = 0.9  # seconds between two depths while they play


def pick_stack(stacks: Sequence[str]) -> str:
    """The stack whose tokens the page shows; the focus token is one of them."""
    stack = option_row(say("layers.stack"), stacks, stacks[0], "stack") if len(stacks) > 1 else stacks[0]
    kind = st.session_state.get("kind")
    focus.follow(kind if kind and query_stack(kind) == stack else stack)
    return stack


def shown(trace: Trace, stack: str) -> tuple[np.ndarray, Tokens]:
    """Hidden states and tokens of a stack, without the silence behind a sound. [layer + 1, token, d_model]"""
    count = trace.shown(stack)
    return trace.hidden_states[stack][:, :count], trace.tokens[stack].first(count)


def player(trace: Trace, stack: str, palette: Palette) -> None:
    """Draw the hidden states at one depth beside the lengths at all depths; a button plays the depths."""
    playing = bool(st.session_state.get("layers_playing"))
    with st.container(key="depths", gap="small"):
        page_fragment(_depth, run_every=PACE if playing else None)(trace, stack, palette)


def _play(last: int) -> None:
    """Start or stop; from the last depth it starts again at the embedding."""
    state = st.session_state
    state.layers_playing, state.layers_stepped = not state.get("layers_playing"), time.monotonic()
    if state.layers_playing and state.get("depth", 0) >= last:
        state.depth = 0
    state.layers_switched = True


def _hold() -> None:
    """Stop, because a depth was chosen by hand."""
    st.session_state.layers_playing = False
    st.session_state.layers_switched = True


def _depth(trace: Trace, stack: str, palette: Palette) -> None:
    """Draw one depth; while the depths play, the next one each time."""
    states, tokens = shown(trace, stack)
    state, last = st.session_state, len(states) - 1
    if state.pop("layers_switched", False) and not state.whole:
        st.rerun()  # the clock of the fragment starts or stops with the page
    links.restore("depth", range(last + 1))
    state.depth = min(int(state.get("depth", 0)), last)
    playing = bool(state.get("layers_playing"))
    if playing and not state.whole and time.monotonic() - state.get("layers_stepped", 0.0) > 0.7 * PACE:
        state.depth, state.layers_stepped = min(state.depth + 1, last), time.monotonic()
    names = figures.depth_names(last + 1)
    with st.container(horizontal=True, key="player", vertical_alignment="center", gap="small"):
        st.button(
            say("layers.pause" if playing else "layers.play"),
            icon=f":material/{'pause' if playing else 'play_arrow'}:",
            key="depth_play",
            on_click=_play,
            args=(last,),
            help=say("layers.play_help"),
        )
        depth = st.select_slider(
            say("layers.depth_pick"),
            range(last + 1),
            format_func=names.__getitem__,
            key="depth",
            on_change=_hold,
            label_visibility="collapsed",
        )
    links.store("depth", depth, 0)
    left, right = st.columns([8, 5], gap="small")
    with left:
        figure = figures.activation_heatmap(states, depth, tokens.texts, palette, stack)
        look = f"{say('layers.activations_look')} {cut_reading(states[depth], figures.activation_limit(states, depth))}"
        charts.chart_with_menu(figure, "activations", look.strip())
    with right:
        figure = figures.norm_heatmap(states, tokens.texts, palette, stack, depth)
        charts.chart_with_menu(figure, "norms", say("layers.norms_look"))
    if depth == last and playing and not state.whole:
        state.layers_playing = False
        st.rerun()  # the button says "Play" again


def massive_reading(states: np.ndarray, tokens: Tokens) -> None:
    """Say which tokens' hidden states are far longer than the others'; nothing where none is."""
    for found in massive_states(states):
        where = say("layers.massive_depth", layer=found.depth - 1) if found.depth else say("layers.massive_embedding")
        sentence = say(
            "layers.massive",
            token=escape_markdown(tokens.name(found.token)),
            factor=f"{found.factor:,.0f}",
            depth=where,
            share=f"{found.share:.0%}",
            dimension=found.dimension,
        )
        st.caption(sentence, help=say("layers.massive_help"))
        save_menu.note_ahead("paths", sentence)


def all_depths(states: np.ndarray, tokens: Tokens, stack: str, palette: Palette) -> None:
    """Draw the similarity of each state to its embedding, and the tokens' paths without those that are massive."""
    left, right = st.columns([6, 7], gap="small")
    with left:
        figure = figures.embedding_similarity_heatmap(states, tokens.texts, palette, stack)
        charts.chart_with_menu(figure, "similarities", say("layers.similarities_look"))
    with right:
        left_out = [found.token for found in massive_states(states)]
        look = say("layers.paths_look")
        if left_out:
            names = ", ".join(escape_markdown(tokens.name(token)) for token in left_out)
            look = f"{say('layers.paths_without', tokens=f'**{names}**')} {look}"
        figure = figures.token_trajectories(states, tokens.texts, palette, stack, left_out)
        charts.chart_with_menu(figure, "paths", look)


def feed_forward(neurons: np.ndarray, tokens: Tokens, stack: str, palette: Palette) -> None:
    """Draw the activations of one layer's neurons, and the share that is active in each layer where some are not."""
    signed = bool((neurons < 0).any())
    kind = "_signed" if signed else ""
    with st.container(horizontal=True, key="feed_forward", vertical_alignment="center", gap="medium"):
        st.header(say("layers.feed_forward"), anchor=False, help=say(f"layers.feed_forward{kind}_why"), width="content")
        layer = option_row(say("pick.layer"), range(len(neurons)), 0, "ff_layer")
    reading = readings.neuron_reading(neurons, layer)
    st.markdown(reading)
    save_menu.note_ahead("neurons", reading)
    left, right = (st.container(), None) if signed else st.columns([8, 5], gap="small")
    with left:
        figure = figures.neuron_heatmap(neurons[layer], layer, tokens.texts, palette, stack)
        charts.chart_with_menu(figure, "neurons", say(f"layers.neurons{kind}_look"))
    if right is None:
        return
    with right:
        charts.chart_with_menu(figures.sparsity_bars(neurons, palette), "sparsity", say("layers.sparsity_look"))
