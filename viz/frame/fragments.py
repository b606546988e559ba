"""The decorator of page fragments: functions that Streamlit reruns without the rest of the page."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import streamlit as st

from model.memory.keyed_traces import runs_held
from viz.frame import audience
from viz.frame.guard import guarded
from viz.frame.waits import turn_wait
from viz.language.messages import set_language

P = ParamSpec("P")


def page_fragment(function: Callable[P, None], run_every: float | None = None) -> Callable[P, None]:
    """The function as a fragment: when only its own widgets change, Streamlit reruns nothing else.

    Nothing outside may depend on what is chosen inside: it would be out of date. Sets the language of the thread, is
    guarded as a page is, and tells screen readers what the function announced.

    Args:
        run_every: seconds after which it runs again by itself, again and again; None for never.
    """

    @wraps(function)
    def fragment(*args: P.args, **kwargs: P.kwargs) -> None:
        set_language(
            st.session_state.language
        )  # set per thread, and `app.py`, which does it, may not have run in this one
        state = st.session_state
        before = state.said  # not emptied: the menu of the handout, a fragment, has what the page said
        with guarded(), turn_wait.told(st.empty()), runs_held():
            function(*args, **kwargs)
        if state.said != before and not state.whole:
            audience.announce(function.__name__)

    return st.fragment(fragment, run_every=run_every)
