"""Pieces of a page that are drawn again alone: a click inside costs neither the rest of the page nor the sidebar."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import ParamSpec

import streamlit as st

from viz.frame import audience, session
from viz.language.messages import speak

P = ParamSpec("P")


def alone(piece: Callable[P, None]) -> Callable[P, None]:
    """Make a function a piece of a page: while only its own widgets change, nothing else runs.

    Nothing outside may show what is chosen inside, or it would be out of date.
    """

    @st.fragment
    @wraps(piece)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> None:
        speak(st.session_state.language)  # the app's frame, which says so otherwise, may not have run in this thread
        state = st.session_state
        before, state.said = state.said, ""
        with suppress(session.Halt):
            piece(*args, **kwargs)
        if not state.said:
            state.said = before
        elif not state.whole:
            audience.announce(piece.__name__)

    return drawn
