"""What the page on screen shows, as its pickers left it in the session: kind, layer, head, row, stack."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st

from model.maps.words import join_silence
from model.trace.attention import Attention
from model.trace.trace import Trace
from viz.widgets import pickers

# Returns the largest difference of a figure from what it should show, as a share of the largest number; None where the
# run has nothing to compare it with.
Reader = Callable[[Trace, Any], float | None]


def head() -> tuple[int, int]:
    """Layer and head."""
    return int(st.session_state.get("layer") or 0), int(st.session_state.get("head") or 0)


def attention_and_head(trace: Trace) -> tuple[Attention, tuple[int, int]]:
    """The kind of attention, layer and head."""
    kind = str(st.session_state.get("kind"))
    return trace.attentions[kind if kind in trace.attentions else pickers.default_kind(trace)], head()


def joined_and_head(trace: Trace) -> tuple[Attention, tuple[int, int]]:
    """The same, with the silence behind a sound as one token, as some pages draw it."""
    attention, place = attention_and_head(trace)
    return join_silence(attention), place


def row(attention: Attention) -> int:
    """Position of the query whose row is shown."""
    return int(st.session_state.get(f"row_{attention.kind}") or 0)


def stack(stacks: Mapping[str, Any]) -> str:
    """The stack of layers, of those that there are."""
    chosen = str(st.session_state.get("stack"))
    return chosen if chosen in stacks else next(iter(stacks))


def chosen(key: str, default: Any) -> Any:
    """What a widget holds; the default before it was drawn."""
    value = st.session_state.get(key)
    return default if value is None else value
