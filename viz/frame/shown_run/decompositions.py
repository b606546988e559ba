"""A run taken apart, for the pages: blocks of the residual stream, credit of a score, one match split; all cached."""

from __future__ import annotations

from time import monotonic
from typing import Any

import streamlit as st

from model.decomposition.progress import telling
from model.trace.boxes.decomposition import Credit, Split
from model.trace.boxes.stack_summary import StackSummary
from model.trace.trace import Trace
from viz.frame.shown_run.input_errors import input_errors_shown
from viz.language.messages import say

PATIENCE = 0.7  # seconds after which it is said how far it has come


def _computed(trace: Trace, method: str, *arguments: Any) -> Any:
    """What a method of a trace returns, which runs the model once more unless the cache has it.

    Raises:
        Halt: the model's layers cannot be watched, and the page says so.
    """
    with input_errors_shown():
        return _run(trace, method, *arguments)


def _run(trace: Trace, method: str, *arguments: Any) -> Any:
    """As `_computed`, but errors are raised as they are."""
    with st.spinner(say("sidebar.running"), show_time=True):
        return getattr(trace, method)(*arguments)


def block_summaries(trace: Trace) -> dict[str, StackSummary]:
    """What a picture of the model needs of the blocks of each stack."""
    place, start = st.empty(), monotonic()

    def tell(number: int, count: int) -> None:
        if monotonic() - start >= PATIENCE:
            place.progress(number / count, say("whole.reading", number=number, count=count))

    with telling(tell):
        found: dict[str, StackSummary] = _computed(trace, "block_summaries")
    place.empty()
    return found


def credit(trace: Trace, position: int, token: int, against: int | None = None) -> Credit:
    """Which heads and feed-forward layers push the score of a token up or down.

    Raises:
        InputError: the model has no such parts; a part of a page says so, and the page goes on.
    """
    found: Credit = _run(trace, "credit", position, token, against)
    return found


def why(trace: Trace, kind: str, layer: int, head: int, query: int, key: int) -> Split:
    """Where one attention score comes from."""
    found: Split = _computed(trace, "why", kind, layer, head, query, key)
    return found
