"""What stands below the maps of Compare: all heads of A, selected heads, where two runs part, rollout and flow."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import streamlit as st

from model.maps import rollout
from model.measures import alignment, hidden_states, similarity
from model.trace.attention import Attention
from viz.figures import compare_heads
from viz.figures import compare_runs as figures
from viz.figures.layers import depth_names
from viz.figures.linking import query_stack
from viz.figures.theme import Palette
from viz.frame import links
from viz.frame.option_row import option_row
from viz.frame.shown_run.all_heads import measured
from viz.language.messages import say
from viz.sections.compare.compare_sides import Side
from viz.widgets import charts, pickers
from viz.widgets.menus import save_menu

MAX_FLOW_TOKENS = 24  # longest text for attention flow, which solves a maximum-flow problem per token
MAX_HEIGHT = 480  # pixels of a map of distances
MAX_WALL_HEADS = 12  # heads drawn beside each other
MORE = ("alike", "wall", "part", "through")


def more(a: Side, b: Side, palette: Palette) -> None:
    """Draw one of `MORE`, chosen by a row of buttons; only that one is computed."""
    old_link = any(name.startswith("wall_") for name in st.query_params)
    chosen = option_row(say("compare.more"), MORE, "wall" if old_link else "alike", "more")
    with st.container(key="more_part"):
        if chosen == "alike":
            similar_heads(a, palette)
        elif chosen == "wall":
            selected_heads(a, palette)
        elif chosen == "part":
            hidden_state_distance(a, b, palette)
        else:
            rollout_and_flow(a, palette)


def similar_heads(a: Side, palette: Palette) -> None:
    """Draw every head's similarity to A's head, and all heads as points in a plane."""
    attention, chosen = a.attention, (a.layer, a.head)
    step = similarity.query_stride(attention)
    every = say("compare.every", step=step) if step > 1 else ""
    if every:
        st.caption(every)
    similarities = _similarities(a, step)
    left, right = st.columns(2)
    with left:
        figure = compare_heads.head_similarity_heatmap(similarities, chosen, palette, attention.layer_index)
        look = f"{say('compare.similar_look')} {every}".strip()
        charts.chart_with_menu(figure, "similarity", look, on_select=_opener("similarity"))
    with right:
        points, explained_variance = measured(
            a.trace, attention, ("coordinates", step), partial(_coordinates, step=step), lambda found: found[0].nbytes
        )
        figure = compare_heads.head_scatter(points, explained_variance, chosen, palette, attention.layer_index)
        charts.chart_with_menu(figure, "head_map", say("compare.head_map_look"), on_select=_opener("head_map"))


def selected_heads(a: Side, palette: Palette) -> None:
    """Draw maps of heads that the user selects, at first those most similar to A's head."""
    attention = a.attention
    step = similarity.query_stride(attention)
    similarities = _similarities(a, step)
    order = [divmod(int(i), attention.num_heads) for i in np.argsort(-similarities, axis=None, kind="stable")]
    key = f"wall_{attention.kind}_{a.layer}_{a.head}"
    tiles = {f"{layer}.{head}": (layer, head) for layer, head in order}
    links.restore(key, list(tiles), many=True)
    names = st.multiselect(
        say("compare.wall_pick"),
        list(tiles),
        list(tiles)[:8],
        format_func=lambda one: say("compare.tile", layer=attention.layer_index[tiles[one][0]], head=tiles[one][1]),
        max_selections=MAX_WALL_HEADS,
        key=key,
        persist_state="session",
    )
    links.store(key, names, list(tiles)[:8])
    heads = [tiles[name] for name in names]
    if heads:
        figure = compare_heads.selected_heads_mosaic(attention, heads, palette, across=6)
        table = save_menu.weights_table(attention)
        charts.chart_with_menu(figure, "wall", say("compare.wall_look"), on_select=_opener("wall"), table=table)


def _similarities(a: Side, step: int) -> np.ndarray:
    """Similarity of every head to A's head. [layer, head]"""

    def measure(maps: Attention) -> np.ndarray:
        return similarity.head_similarity(maps, a.layer, a.head, step)

    key = ("similarity", a.layer, a.head, step)
    return measured(a.trace, a.attention, key, measure, lambda found: found.nbytes)


def _coordinates(maps: Attention, step: int) -> tuple[np.ndarray, float]:
    return similarity.head_coordinates(maps, step)


def _rollout_and_flow(maps: Attention, layer: int, row: int, with_flow: bool) -> dict[str, np.ndarray]:
    """Rollout, and flow where it is wanted, from one token to the input tokens, by name. [token] each"""
    found = {"rollout": maps.across_layers("rollout", layer, row)}
    if with_flow:
        layers = np.stack([maps.across_layers("attention_with_residual", one) for one in range(layer + 1)])
        found["flow"] = rollout.flow(layers, layer, row)
    return found


def _opener(key: str) -> Callable[[], None]:
    """A callback that selects the head clicked in the figure with this key."""

    def select() -> None:
        points = st.session_state[key].selection.points
        if points:
            st.session_state.layer, st.session_state.head = (int(i) for i in points[0]["customdata"][:2])

    return select


def hidden_state_distance(a: Side, b: Side, palette: Palette) -> None:
    """Draw the distance of the hidden states of two runs of one model, by layer and aligned token."""
    if a.trace is b.trace:
        st.caption(say("compare.one_run"))
        return
    maps = {}
    for stack in a.trace.hidden_states:
        states = [side.trace.hidden_states.get(stack) for side in (a, b)]
        if a.name != b.name or states[0] is None or states[1] is None:
            st.info(say("compare.other_shape"), icon=":material/info:")
            return
        pairs = alignment.align_tokens(a.trace.tokens[stack], b.trace.tokens[stack])
        maps[stack] = pairs, hidden_states.state_distance(states[0], states[1], pairs)
    most = max(float(np.nanmax(distance, initial=0.0)) for _, distance in maps.values())
    for place, (stack, (pairs, distance)) in zip(st.columns(len(maps)), maps.items(), strict=True):
        figure = figures.state_distance_heatmap(
            distance,
            figures.aligned_labels(pairs, a.trace.tokens[stack], b.trace.tokens[stack]),
            depth_names(len(distance)),
            palette,
            most,
            figures.focus_marks(pairs, stack, "x"),
        )
        figure.layout.height = min(figure.layout.height, MAX_HEIGHT)
        with place:
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
    with_flow = len(tokens) <= MAX_FLOW_TOKENS
    measure = partial(_rollout_and_flow, layer=a.layer, row=row, with_flow=with_flow)
    found = measured(a.trace, a.attention, ("rollout", a.layer, row), measure, lambda found: 16 * len(tokens))
    shares = {"raw": raw, **found}
    if with_flow:
        shares["flow"] = shares["flow"] / shares["flow"].sum()
    else:
        st.caption(say("compare.flow_long", most=MAX_FLOW_TOKENS))
    labels = [tokens.name(i) for i in range(len(tokens))]
    figure = compare_heads.share_bars(shares, labels, palette, query_stack(a.attention.kind))
    charts.chart_with_menu(figure, "through", say("compare.through_look", layer=a.attention.layer_index[a.layer]))
    with st.expander(say("compare.claims")):
        for name in shares:
            st.markdown(say(f"compare.claim_{name}"))
