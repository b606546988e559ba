"""The tour of a minute: the browser points at parts of the whole model, then of Heads; offered on a first visit."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from viz.browser.resources import BROWSER
from viz.frame import lesson_guide, session
from viz.language.messages import say

# Part -> its page, and where it stands there, the best place first.
PARTS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "sentence": ("whole", (".st-key-sentence",)),
    "output": ("whole", (".st-key-output .tokens",)),
    "whole": ("whole", (".st-key-whole",)),
    "tiles": ("heads", (".st-key-mosaic",)),
    "row": ("heads", (".st-key-heatmap .focus-mark", ".st-key-heatmap")),
    "reading": ("heads", (".st-key-reading",)),
    "badge": ("heads", (".st-key-output_badge",)),
}
PAGES = ("whole", "heads")
LESSONS = "lessons"  # the page that the offer leads to beside the tour
WORDS = ("offer", "start", "later", "next", "back", "close", "lesson")
_component = st.components.v2.component("headlight_tour", js=(BROWSER / "tour.js").read_text(encoding="utf-8"))


def begin() -> None:
    """Ask the browser to begin the tour when its first page is drawn next."""
    st.session_state.tour = st.session_state.get("tour", 0) + 1


def draw(page: str) -> None:
    """Hand the tour to the browser, on its pages and outside lessons. page: title of the page"""
    here = next((name for name in PAGES if page == say(f"{name}.title")), None)
    if here is None or lesson_guide.current_step() is not None:
        return
    parts = [
        {"page": name, "at": list(at), "title": say(f"tour.{part}"), "text": session.say_to_hand(f"tour.{part}_text")}
        for part, (name, at) in PARTS.items()
    ]
    words = {name: say(f"tour.{name}") for name in WORDS} | {"place": say("tour.place", step="{step}", steps="{steps}")}
    words |= {LESSONS: say("lessons.title")}
    data = {
        "parts": parts,
        "page": here,
        "words": words,
        "begin": st.session_state.get("tour", 0),
        "offer": not st.session_state.projector,
    }
    _component(key="script_tour", data=data, on_lesson_change=_first_lesson, on_page_change=_turn)


def follow(pages: Mapping[str, StreamlitPage], page: StreamlitPage) -> None:
    """Go to the page of the tour's next part, or to the lessons; before any widget is drawn.

    Who chooses the tour in a lesson leaves the lesson: it covers what the tour points at.

    Args:
        pages: the app's pages by name; page: the one about to run.
    """
    if page.url_path == pages["tour"].url_path and lesson_guide.current_step() is not None:
        lesson_guide.leave_lesson()
    wanted = st.session_state.pop("tour_page", None)
    if wanted in (*PAGES, LESSONS) and page.url_path != pages[wanted].url_path:
        st.switch_page(pages[wanted], query_params={})


def _turn() -> None:
    """Remember the page that the tour goes on with, or the lessons; a callback."""
    st.session_state.tour_page = st.session_state.script_tour.page


def _first_lesson() -> None:
    lessons = lesson_guide.lessons_and_errors()[0]
    if lessons:
        lesson_guide.go_to_step(lessons[0].name)
