"""Widgets that choose an attention kind, a layer and head, a token, or the part of a large map."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from model.catalog.entries import CATALOG, Entry
from model.trace.attention import Attention
from model.trace.tokens import Tokens
from model.trace.trace import Trace
from viz.figures.grid import MAX_CELLS
from viz.frame import links, session
from viz.frame.option_row import option_row
from viz.language.messages import escape_markdown, isolate_rtl, say

MAX_BUTTONS = 40  # tokens shown as a row of buttons; more are a drop-down list


def pick_window(attention: Attention) -> tuple[range, range] | None:
    """The queries and keys chosen by sliders, to be drawn unpooled; None for a map with at most `MAX_CELLS` cells."""
    if len(attention.queries) * len(attention.keys) <= MAX_CELLS:
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
    """The position, from 0, of the token chosen by a widget.

    Args:
        key: of the widget, and the parameter in the link.
        start: position chosen at first.
    """
    places = range(len(tokens))
    if key in st.session_state and st.session_state[key] not in places:
        del st.session_state[key]
    links.restore(key, places)
    default = min(start, len(tokens) - 1)
    if len(tokens) > MAX_BUTTONS:
        chosen = st.selectbox(
            label,
            places,
            default,
            format_func=lambda i: f"{i} · {isolate_rtl(tokens.texts[i])}",
            key=key,
            persist_state="session",
        )
    else:
        chosen = st.pills(
            label,
            places,
            default=default,
            required=True,
            format_func=lambda i: f"{escape_markdown(tokens.texts[i])} :gray[:small[{i}]]",
            key=key,
            persist_state="session",
        )
    chosen = default if chosen is None else int(chosen)
    links.store(key, chosen, default)
    return chosen


@dataclass(frozen=True)
class SelectedHead:
    """The head on screen."""

    attention: Attention
    layer: int
    head: int


def pick_head(trace: Trace) -> SelectedHead:
    """The head chosen by widgets for kind, layer and head; kept from page to page and written to the link."""
    columns = st.columns([3, 2, 4], gap="medium")
    with columns[0]:
        attention = pick_kind(trace)
    return SelectedHead(attention, *pick_layer_head(trace, attention, *columns[1:]))


def pick_kind(trace: Trace) -> Attention:
    """The attention of the kind chosen by a widget."""
    return trace.attentions[option_row(say("pick.kind"), list(trace.attentions), default_kind(trace), "kind")]


def pick_layer_head(trace: Trace, attention: Attention, left: DeltaGenerator, right: DeltaGenerator) -> tuple[int, int]:
    """Layer and head chosen by widgets in two containers."""
    layer, head = default_head(default_kind(trace))
    with left:
        layer = _number("layer", attention.num_layers, layer)
    with right:
        head = _number("head", attention.num_heads, head)
    return layer, head


def default_kind(trace: Trace) -> str:
    """The kind of attention to show first."""
    entry: Entry | None = CATALOG.get(session.chosen_model())
    return entry.opens_at[0] if entry else list(trace.attentions)[-1]


def default_head(kind: str) -> tuple[int, int]:
    """Layer and head to show first: the catalog's example of a clear pattern, or 0, 0."""
    entry: Entry | None = CATALOG.get(session.chosen_model())
    return entry.opens_at[1:] if entry and entry.opens_at[0] == kind else (0, 0)


def _number(key: str, count: int, default: int) -> int:
    """The number chosen by a row of buttons."""
    return option_row(say(f"pick.{key}"), range(count), default if default < count else 0, key)


def chosen_head(trace: Trace, attention: Attention) -> tuple[int, int]:
    """Layer and head on screen, kept from page to page and in the link; tiles and arrow keys choose them, no widget."""
    layer, head = default_head(default_kind(trace))
    return _stored("layer", attention.num_layers, layer), _stored("head", attention.num_heads, head)


def chosen_row(attention: Attention) -> int:
    """Position of the query whose row is shown, kept and in the link; a click on a row or a word chooses it."""
    count = len(attention.queries)
    return _stored(f"row_{attention.kind}", count, min(1, count - 1))


def _stored(key: str, count: int, default: int) -> int:
    """A number below `count` that the session and the link hold under a key."""
    links.restore(key, range(count))
    default = default if default < count else 0
    value = st.session_state.get(key)
    value = value if isinstance(value, int) and 0 <= value < count else default
    st.session_state[key] = value
    links.store(key, value, default)
    return value
