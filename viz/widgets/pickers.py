"""Pieces that several pages are made of."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from model.catalog.entries import CATALOG, Entry
from model.trace.attention import Attention
from model.trace.tokens import Tokens
from model.trace.trace import Trace
from viz.figures.grid import MOST_CELLS
from viz.frame import links, session
from viz.frame.option_row import choice
from viz.language.messages import isolate, plain, say

MANY = 40  # more tokens than this are chosen from a list, not from a row of buttons


def pick_window(attention: Attention) -> tuple[range, range] | None:
    """Where a map has more cells than are drawn: sliders for the part to see in full; None for a small map."""
    if len(attention.queries) * len(attention.keys) <= MOST_CELLS:
        return None
    st.caption(say("large.why", cells=len(attention.queries) * len(attention.keys)))
    chosen = []
    for column, side, tokens in zip(
        st.columns(2), ("rows", "columns"), (attention.queries, attention.keys), strict=True
    ):
        key = f"{side}_{attention.kind}_{len(tokens)}"
        first, last = column.slider(say(f"large.{side}"), 0, len(tokens) - 1, (0, len(tokens) - 1), key=key)
        chosen.append(range(first, last + 1))
    return chosen[0], chosen[1]


def pick_token(tokens: Tokens, label: str, key: str, start: int = 0) -> int:
    """A widget to choose one token by its place; repeated tokens stay apart.

    Returns:
        The position of the token, from 0.
    """
    places = range(len(tokens))
    if key in st.session_state and st.session_state[key] not in places:
        del st.session_state[key]
    links.take(key, places)
    default = min(start, len(tokens) - 1)
    if len(tokens) > MANY:
        chosen = st.selectbox(
            label,
            places,
            default,
            format_func=lambda i: f"{i} · {isolate(tokens.texts[i])}",
            key=key,
            persist_state="session",
        )
    else:
        chosen = st.pills(
            label,
            places,
            default=default,
            required=True,
            format_func=lambda i: f"{plain(tokens.texts[i])} :gray[:small[{i}]]",
            key=key,
            persist_state="session",
        )
    chosen = default if chosen is None else int(chosen)
    links.keep(key, chosen, default)
    return chosen


@dataclass(frozen=True)
class View:
    """Which head is being looked at."""

    attention: Attention
    layer: int
    head: int


def pick_head(trace: Trace) -> View:
    """Widgets for kind, layer and head; the choice follows from page to page and into the link."""
    columns = st.columns([3, 2, 4], gap="medium")
    with columns[0]:
        attention = pick_kind(trace)
    return View(attention, *pick_place(trace, attention, *columns[1:]))


def pick_kind(trace: Trace) -> Attention:
    """A widget for the kind of attention."""
    return trace.attentions[choice(say("pick.kind"), list(trace.attentions), opens_with(trace), "kind")]


def pick_place(trace: Trace, attention: Attention, left: DeltaGenerator, right: DeltaGenerator) -> tuple[int, int]:
    """Widgets for layer and head."""
    layer, head = opens_at(opens_with(trace))
    with left:
        layer = _number("layer", attention.num_layers, layer)
    with right:
        head = _number("head", attention.num_heads, head)
    return layer, head


def opens_with(trace: Trace) -> str:
    """The kind to show first."""
    entry: Entry | None = CATALOG.get(session.chosen())
    return entry.opens_at[0] if entry else list(trace.attentions)[-1]


def opens_at(kind: str) -> tuple[int, int]:
    """Layer and head of a kind to show first: one with a clear pattern, where the catalogue knows one."""
    entry: Entry | None = CATALOG.get(session.chosen())
    return entry.opens_at[1:] if entry and entry.opens_at[0] == kind else (0, 0)


def _number(key: str, count: int, default: int) -> int:
    """A row of buttons with numbers, kept in the link."""
    return choice(say(f"pick.{key}"), range(count), default if default < count else 0, key)
