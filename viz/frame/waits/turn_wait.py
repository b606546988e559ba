"""What a page says while it waits for its turn, or works long, beside a button that ends both; what was typed stays."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.scriptrunner_utils.script_run_context import ThreadState

from model.turns import PACE, GivenUp, is_watched, watched
from viz.frame import session
from viz.language.messages import say

SILENT = 1.0  # seconds of a run of the page before anything is said
ASKED = 0.02  # seconds between two looks at what was clicked meanwhile; some slices are shorter than a look
STOPPED = "wait_stopped"  # in the session: what was cancelled, as `_shown` tells it
# What the work of a page depends on, of what its reader chooses: whoever changes one of them wants it to begin again.
CHOICES = ("model", "device", "text", "pair", "target", "edits", "picture", "b_text", "b_model", "b_edits")


class CancelledError(session.Halt, GivenUp):
    """Ends the page of a reader who pressed Cancel."""


class _Watch:
    """Looks at one run of a page, or of a fragment.

    Args:
        place: what it says stands here, and nothing else.
    """

    def __init__(self, place: DeltaGenerator) -> None:
        self.place = place
        self.told: DeltaGenerator | None = None
        self._owner = ThreadState.get()
        self._begun, self._looked, self._asked, self._ended = time.monotonic(), 0.0, 0.0, False

    def __call__(self, waits: bool) -> None:
        """Say how long it takes; Streamlit ends the run here, too, where something else was clicked.

        Raises:
            CancelledError: the reader pressed Cancel, and the page says so.
        """
        now = time.monotonic()
        if not self._ended and now - self._asked < ASKED:
            return
        self._asked = now
        cancelled = st.session_state.get(STOPPED)  # what it is compared with takes longer
        if self._ended or (cancelled is not None and cancelled == _shown()):
            self._halt()
        if now - self._begun < SILENT or now - self._looked < PACE:
            return
        self._looked = now
        seconds = f"{now - self._begun:.0f}"
        with self._as_owner():
            if self.told is None:
                self.told = self._draw()
            self.told.markdown(say("wait.turn" if waits else "wait.work", seconds=seconds))

    def clear(self) -> None:
        """Take away what was said."""
        if self.told is not None:
            self.place.empty()
        self.told = None

    def _as_owner(self) -> AbstractContextManager[None]:
        """A context in which what is written belongs to whoever drew `place`, not to a fragment that works within it.

        Streamlit would keep a room of that fragment's own in `place`, and fill it when the fragment runs again: by then
        `place` is empty, and the page in the browser ends ("'setIn' cannot be called on an ElementNode").
        """
        return ThreadState.scoped(fragment_id=self._owner.fragment_id, delta_path=self._owner.delta_path)

    def _draw(self) -> DeltaGenerator:
        """Room for what is said, beside the button."""
        with self.place.container(horizontal=True, vertical_alignment="center", key="wait"):
            told = st.empty()
            with ThreadState.scoped(fragment_id=None):  # its click does not wait for the fragment
                label, icon = say("wait.cancel"), ":material/stop_circle:"
                st.button(label, key="wait_cancel", on_click=_cancel, args=(_shown(),), icon=icon)
        return told

    def _halt(self) -> None:
        """Say that it was cancelled, once in a run of the page, with a button that lets it go on."""
        if not self._ended:
            self._ended, self.told = True, None
            with self._as_owner(), self.place.container():
                st.info(say("wait.cancelled"), icon=":material/stop_circle:")
                with ThreadState.scoped(fragment_id=None):
                    st.button(say("wait.go_on"), key="wait_go_on", on_click=_go_on)
        raise CancelledError


@contextmanager
def told(place: DeltaGenerator) -> Iterator[None]:
    """A context whose waits for a turn, and whose long work, are told after a second, and can be cancelled.

    Args:
        place: what is said stands here, and nothing else.
    """
    if is_watched():  # by the page around a fragment
        yield
        return
    watch = _Watch(place)
    try:
        with watched(watch):
            yield
    finally:
        watch.clear()


def _shown() -> tuple[object, ...]:
    """What is worked on, and for which page."""
    context = get_script_run_ctx()
    return (context and context.page_script_hash, *(st.session_state.get(name) for name in CHOICES))


def _cancel(shown: tuple[object, ...]) -> None:
    st.session_state[STOPPED] = shown


def _go_on() -> None:
    st.session_state.pop(STOPPED, None)
