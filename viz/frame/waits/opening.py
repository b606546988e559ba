"""The wait until a model is open: it has an end, says what it waits for, and can be stopped."""

from __future__ import annotations

import time
from concurrent.futures import Future, TimeoutError
from typing import TypeVar

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from model.catalog.trial import stop_trial
from model.errors import ModelError
from model.trace.lens import Lens
from viz.frame import server_state, session
from viz.frame.model_names import model_name
from viz.language.messages import escape_markdown, say

SILENT, PACE = 1.0, 0.5  # seconds before the wait is told, and between two looks
LONGEST = 300.0  # seconds that a page waits
STOPPED = "opening_stopped"  # in the session: name and device of the model that is not waited for

_waiting: dict[tuple[str, str], int] = {}  # how many sessions wait

Found = TypeVar("Found")


def wait_for_model(name: str, device: str) -> Lens:
    """An opened model, once it is open; meanwhile the page says so, with a button that ends the wait.

    Raises:
        Halt: the reader stopped the wait, and the page says so.
        ModelError: it cannot be opened, or not in `LONGEST` seconds ("slow").
    """
    key = (name, device)
    shown = escape_markdown(model_name(name))
    if st.session_state.get(STOPPED) == key:
        st.info(say("sidebar.opening_stopped", name=shown), icon=":material/stop_circle:")
        st.button(say("sidebar.again"), key="open_again", on_click=_forget_stop)
        raise session.Halt
    future, place, begun = server_state.model_registry().opening(*key), st.empty(), time.monotonic()
    if future.done():  # as with nearly every run of a page; its room stays, so that what follows keeps its place
        return future.result()
    _waiting[key] = _waiting.get(key, 0) + 1
    try:
        with st.spinner(say("sidebar.opening")):
            found = _within(future, SILENT)
        told = _tell(place, key) if found is None else place
        while found is None:
            waited = time.monotonic() - begun
            if waited > LONGEST:
                raise ModelError("slow", f"{name!r} is still being opened after {LONGEST:.0f} seconds.")
            # Each time something is said, Streamlit can end the run where something was clicked.
            told.markdown(say("sidebar.opening_wait", name=shown, seconds=f"{waited:.0f}"))
            found = _within(future, PACE)
        return found
    finally:
        _waiting[key] -= 1
        place.empty()


def _within(future: Future[Found], seconds: float) -> Found | None:
    """The result of a future, or None where it is not there within this time."""
    try:
        return future.result(seconds)
    except TimeoutError:
        if future.done():  # the error is of the opening itself
            raise
        return None


def _tell(place: DeltaGenerator, key: tuple[str, str]) -> DeltaGenerator:
    """Room for what is waited for, beside a button that ends the wait."""
    with place.container(horizontal=True, vertical_alignment="center"):
        told = st.empty()
        label = say("sidebar.opening_stop")
        st.button(label, key=f"opening_stop_{key[0]}", on_click=_stop, args=(key,), icon=":material/stop_circle:")
    return told


def _stop(key: tuple[str, str]) -> None:
    """End this session's wait; the trial of a model that nobody else waits for ends, too. A callback."""
    st.session_state[STOPPED] = key
    if _waiting.get(key, 0) <= 1:
        stop_trial(key[0])


def _forget_stop() -> None:
    st.session_state.pop(STOPPED, None)
