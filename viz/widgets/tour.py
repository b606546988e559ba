"""The tour of a minute: the browser points at one part of the Heads page after the other; offered on a first visit."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from viz.browser.resources import BROWSER
from viz.frame import lesson_guide
from viz.language.messages import say

# Part -> where it stands on the page, the best place first.
PARTS: Mapping[str, tuple[str, ...]] = {
    "sentence": (".st-key-sentence",),
    "output": (".st-key-output .tokens",),
    "tiles": (".st-key-mosaic",),
    "row": (".st-key-heatmap .focus-mark", ".st-key-heatmap"),
    "reading": (".st-key-reading",),
    "badge": (".st-key-output_badge",),
}
WORDS = ("offer", "start", "later", "next", "back", "close", "lesson")
_component = st.components.v2.component("headlight_tour", js=(BROWSER / "tour.js").read_text(encoding="utf-8"))


def begin() -> None:
    """Ask the browser to begin the tour when the Heads page is drawn next."""
    st.session_state.tour = st.session_state.get("tour", 0) + 1


def draw(page: str) -> None:
    """Hand the tour to the browser, on the Heads page and outside lessons. page: title of the page"""
    if page != say("heads.title") or lesson_guide.current_step() is not None:
        return
    parts = [
        {"at": list(at), "title": say(f"tour.{part}"), "text": say(f"tour.{part}_text")} for part, at in PARTS.items()
    ]
    words = {name: say(f"tour.{name}") for name in WORDS} | {"place": say("tour.place", step="{step}", steps="{steps}")}
    data = {
        "parts": parts,
        "words": words,
        "begin": st.session_state.get("tour", 0),
        "offer": not st.session_state.projector,
    }
    _component(key="script_tour", data=data, on_lesson_change=_first_lesson)


def _first_lesson() -> None:
    lessons = lesson_guide.lessons_and_errors()[0]
    if lessons:
        lesson_guide.go_to_step(lessons[0].name)
