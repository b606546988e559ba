"""Widgets that choose an attention kind, a layer and head, a token, or the part of a large map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from model.catalog.entries import CATALOG, Entry
from model.trace.attention import Attention
from model.trace.tokens import Tokens
from model.trace.trace import Trace
from viz.figures.cell_pooling import MAX_CELLS
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


def head_stepper(trace: Trace, *, arrows: bool = True) -> SelectedHead:
    """The head chosen in one row: kind, layer and head, each number with a button back and one on, round in a circle.

    For a horizontal container of the page's controls; kept from page to page and written to the link.

    Args:
        arrows: whether the arrow keys step too, as on Heads; False on a page where another widget takes them.
    """
    with st.container(horizontal=True, key="stepper", vertical_alignment="center", gap="small", width="content"):
        attention = pick_kind(trace)
        layer, head = default_head(default_kind(trace))
        arrow_keys = ("Up", "Down") if arrows else None
        layer = pick_number("layer", attention.num_layers, layer, arrow_keys, attention.layer_index)
        head = pick_number("head", attention.num_heads, head, ("Left", "Right") if arrows else None)
    return SelectedHead(attention, layer, head)


def pick_number(key: str, count: int, default: int, arrows: tuple[str, str] | None, names: Sequence[int] = ()) -> int:
    """A number below `count`, chosen from a list or by two buttons beside it.

    Args:
        key: "layer" or "head", of the list and in the link.
        arrows: keys of the two buttons.
        names: what each number stands for, such as the layer of a hybrid; itself by default.
    """
    default = default if default < count else 0
    links.restore(key, range(count), names=names)
    if st.session_state.get(key) not in range(count):
        st.session_state[key] = default
    helps = ("layer_up", "layer_down") if key == "layer" else ("head_left", "head_right")
    shortcuts = arrows or (None, None)
    with st.container(horizontal=True, key=f"step_{key}", vertical_alignment="center", gap=None, width="content"):
        st.markdown(say(f"pick.{key}_short"), width="content")
        for place, icon in enumerate(("chevron_left", "chevron_right")):
            st.button(
                f":material/{icon}:",
                key=f"{key}_{('back', 'next')[place]}",
                shortcut=shortcuts[place],
                on_click=_step,
                args=(key, 2 * place - 1, count, default),
                help=say(f"audience.{helps[place]}"),
                type="tertiary",
                disabled=count < 2,
            )
            if place == 0:
                st.selectbox(
                    say(f"pick.{key}"),
                    range(count),
                    key=key,
                    format_func=lambda number: str(names[number] if number < len(names) else number),
                    label_visibility="collapsed",
                    width=76,
                    persist_state="session",
                )
    chosen = int(st.session_state[key])
    links.store(key, chosen, default, names=names)
    return chosen


def _step(key: str, step: int, count: int, default: int) -> None:
    """One layer or head on or back, from the last to the first and from the first to the last."""
    st.session_state[key] = (st.session_state.get(key, default) + step) % count


def pick_kind(trace: Trace) -> Attention:
    """The attention of the kind chosen by a widget."""
    return trace.attentions[option_row(say("pick.kind"), list(trace.attentions), default_kind(trace), "kind")]


def default_kind(trace: Trace) -> str:
    """The kind of attention to show first."""
    entry: Entry | None = CATALOG.get(session.chosen_model())
    return entry.opens_at[0] if entry else list(trace.attentions)[-1]


def default_head(kind: str) -> tuple[int, int]:
    """Layer and head to show first: the catalog's example of a clear pattern, or 0, 0."""
    entry: Entry | None = CATALOG.get(session.chosen_model())
    return entry.opens_at[1:] if entry and entry.opens_at[0] == kind else (0, 0)


def chosen_head(trace: Trace, attention: Attention) -> tuple[int, int]:
    """Layer and head on screen, kept from page to page and in the link; tiles and arrow keys choose them, no widget."""
    layer, head = default_head(default_kind(trace))
    layers = attention.num_layers
    return stored("layer", layers, layer, attention.layer_index), stored("head", attention.num_heads, head)


def chosen_row(attention: Attention, start: int = 1) -> int:
    """Position of the query whose row is shown, kept and in the link; a click on a row or a word chooses it.

    Args:
        start: shown at first.
    """
    count = len(attention.queries)
    return stored(f"row_{attention.kind}", count, min(start, count - 1))


def stored(key: str, count: int, default: int, names: Sequence[int] = ()) -> int:
    """A number below `count` that the session and the link hold under a key. names: as in `links.restore`"""
    links.restore(key, range(count), names=names)
    default = default if default < count else 0
    value = st.session_state.get(key)
    value = value if isinstance(value, int) and 0 <= value < count else default
    st.session_state[key] = value
    links.store(key, value, default, names=names)
    return value
