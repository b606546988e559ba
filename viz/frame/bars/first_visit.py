"""The first visit after a server start: while the server imports libraries, the browser already fetches its scripts."""

from __future__ import annotations

import gc
import sys
import threading

import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.runtime.scriptrunner import script_runner

from model.memory import allocator

DEFAULT_SWITCH_INTERVAL = sys.getswitchinterval()
_finished = threading.Event()  # once per server process, not per session


def begin(placeholder: DeltaGenerator) -> DeltaGenerator | None:
    """A container for the page's title while libraries are imported; None on all later visits.

    To be called before any other import of the app. An invisible figure makes the browser fetch Plotly meanwhile.

    Args:
        placeholder: an `st.empty`, to be emptied after `end`.
    """
    if _finished.is_set():
        return None
    allocator.retain_freed_memory()
    # Imported modules and cached results live long: with default thresholds, the garbage collector would scan them for
    # a fifth of a second during the import, and for 7 % of the server's time with a class of thirty.
    gc.set_threshold(20_000, 10, 10)
    # Once Keras is imported, for Code, Streamlit has it collect garbage after every run of every session, which takes
    # 0.4 s. What it clears besides is kept for a thread, and that of a run ends with it.
    script_runner._clean_problem_modules = lambda: None
    # The browser's files are sent in pieces; at the default interval each would wait 5 ms for the importing thread.
    sys.setswitchinterval(0.0005)
    waiting = placeholder.container()
    with waiting.container(key="script_expected"):
        st.plotly_chart([{"type": "scatter"}], theme=None, key="expected")
    return waiting


def end() -> None:
    """Mark the imports as finished and restore the interpreter's thread switch interval."""
    sys.setswitchinterval(DEFAULT_SWITCH_INTERVAL)
    _finished.set()
