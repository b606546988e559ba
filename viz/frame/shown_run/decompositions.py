"""A run taken apart, for the pages: blocks of the residual stream, credit of a score, one match split; all cached."""

from __future__ import annotations

from typing import Any

import streamlit as st

from model.trace.boxes.decomposition import Credit, Split
from model.trace.boxes.stack_summary import StackSummary
from model.trace.trace import Trace
from viz.frame.shown_run import results
from viz.language.messages import say


def _computed(trace: Trace, method: str, *arguments: Any) -> Any:
    """What a method of a trace returns, which runs the model once more unless the cache has it.

    Raises:
        Halt: the model's layers cannot be watched, and the page says so.
    """
    with results.input_errors_shown():
        return _run(trace, method, *arguments)


def _run(trace: Trace, method: str, *arguments: Any) -> Any:
    """As `_computed`, but errors are raised as they are."""
    with st.spinner(say("sidebar.running"), show_time=True):
        return getattr(trace, method)(*arguments)


def block_summaries(trace: Trace) -> dict[str, StackSummary]:
    """What a picture of the model needs of the blocks of each stack."""
    found: dict[str, StackSummary] = _computed(trace, "block_summaries")
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
