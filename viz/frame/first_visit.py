"""The first visit after a start: importing takes seconds, and the browser's part of the work begins beside it."""

from __future__ import annotations

import gc
import sys
import threading

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from model.memory import allocator

USUAL = sys.getswitchinterval()
_over = threading.Event()  # of the server's, not of a session's


def begin(room: DeltaGenerator) -> DeltaGenerator | None:
    """Before anything else is imported: let the browser fetch what draws figures, by a figure that nobody sees.

    Args:
        room: an `st.empty`.

    Returns:
        Where the page may say what it is meanwhile; None on all later visits.
    """
    if _over.is_set():
        return None
    allocator.settle()
    # What importing makes stays: looking through it as often as usual would take a fifth of a second. So does what is
    # kept for a class: as often as usual would take 7 % of the server's time, and a fifth of a second at once.
    gc.set_threshold(20_000, 10, 10)
    # The browser's files come in pieces, of which each would wait 5 ms for the import to step aside.
    sys.setswitchinterval(0.0005)
    waiting = room.container()
    with waiting.container(key="script_expected"):
        st.plotly_chart([{"type": "scatter"}], theme=None, key="expected")
    return waiting


def end() -> None:
    """All is imported."""
    sys.setswitchinterval(USUAL)
    _over.set()
