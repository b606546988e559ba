"""Lessons beside the pages: the current step, its question, its state of the app, and the learner's answers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import NoReturn

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from model.assets import ASSETS
from model.lessons.lesson import WIDGET_VALUES, Lesson, LessonStep, load_lessons
from model.lessons.lesson_file import LessonError
from model.trace.edits import KINDS
from viz.browser.resources import BROWSER, script
from viz.frame import session
from viz.language.messages import current_language, escape_markdown, say

FOLDER = ASSETS / "lessons"
PAGES = tuple(sorted(path.stem for path in (Path(__file__).parents[1] / "pages").glob("*.py")))
NAME, NUMBER = "lesson", "lesson_step"  # keys in the session and in the link; in the link, steps count from 1
DISPLAY = ("language", "projector")  # parameters of a link that leave the state of the app to the step
TOGGLES = ("words", "hide")  # off unless a step switches them on
OPENED = ("kind", "layer", "head", *(f"row_{kind}" for kind in KINDS))
ROOM = 640  # characters of a panel at 1280 x 800: a longer step's text folds once its answer stands below it
SET = ("model", "text", "edits", "whose", "target", "method", "forced_output", *OPENED, *WIDGET_VALUES)  # by steps


@lru_cache(maxsize=8)
def _cached_lessons(
    folder: Path, language: str, changed: tuple[tuple[str, int], ...]
) -> tuple[list[Lesson], list[LessonError]]:
    return load_lessons(folder, PAGES, language)


def lessons_and_errors() -> tuple[list[Lesson], list[LessonError]]:
    """The lessons in the page's language, and the errors of those that cannot be read; reloaded when a file changes."""
    files = sorted([*FOLDER.iterdir(), *FOLDER.glob("*/*.md")])
    return _cached_lessons(FOLDER, current_language(), tuple((str(file), file.stat().st_mtime_ns) for file in files))


def current_step() -> tuple[Lesson, LessonStep, int] | None:
    """The lesson in progress, its step, and the step's number from 0; None outside lessons."""
    name = st.session_state.get(NAME)
    lesson = next((one for one in lessons_and_errors()[0] if one.name == name), None) if name else None
    if lesson is None:
        return None
    number = min(max(st.session_state.get(NUMBER, 0), 0), len(lesson.steps) - 1)
    return lesson, lesson.steps[number], number


def go_to_step(name: str, number: int = 0, *, afresh: bool = False) -> None:
    """Start a step of a lesson, from 0; for callbacks of widgets. afresh: ask again what was answered"""
    state = st.session_state
    session.set_aside(SET)
    if afresh:
        state.lesson_given = {at: given for at, given in state.get("lesson_given", {}).items() if at[0] != name}
    state[NAME], state[NUMBER] = name, number
    state.lesson_enter = True


def is_locked() -> bool:
    """Whether the lesson in progress hides what sets model, sentence and changes."""
    current = current_step()
    return current is not None and current[0].locked


def leave_lesson(finished: bool = False) -> None:
    """End the lesson, with the state that it found; for callbacks of widgets. finished: go on to the Lessons page"""
    for key in (NAME, NUMBER, "lesson_enter"):
        st.session_state.pop(key, None)
    session.forget_text_choices()
    session.put_back({"edits": "", "whose": session.OWN, "method": "greedy", "step": 0, "words": False, "hide": False})
    st.session_state.lesson_finished = finished


def apply_step(pages: Mapping[str, StreamlitPage], page: StreamlitPage) -> None:
    """Start the lesson that the link names, and set the widgets' values of a step just started; before any is drawn.

    Args:
        pages: the app's pages by name; page: the one about to run.
    """
    _follow_link()
    current = current_step()
    if st.session_state.pop("lesson_finished", False):
        _switch(pages["lessons"], {})
    if current is None:
        _write_link({})
        return
    lesson, step, number = current
    link = {NAME: lesson.name, NUMBER: str(number + 1)}
    if st.session_state.get("lesson_enter"):
        if page.url_path != pages[step.page].url_path:
            _switch(pages[step.page], link)
        del st.session_state.lesson_enter
        _apply_state(step)
    _write_link(link)
    if lesson.locked:
        st.html(f"<style>{LOCKED}</style>")


def _switch(page: StreamlitPage, link: dict[str, str]) -> NoReturn:
    """Switch to a page; its widgets write their own parameters into the link."""
    st.session_state.lesson_link = (link.get(NAME), link.get(NUMBER))
    # Without query parameters of its own, Streamlit refuses to leave a page whose widgets are in the link.
    st.switch_page(page, query_params=link)


# In a locked lesson the widgets stay on the page, where they hold the state, but are hidden; the sentence can be read.
LOCKED = """[data-testid=stTopNav], [data-testid=stSidebar], [data-testid=stExpandSidebarButton],
:is(.st-key-model, .st-key-examples, .st-key-forcing, .st-key-changing) { display: none !important; }"""


def _follow_link() -> None:
    """Start the step that the link names, unless the app itself wrote it there."""
    state, link = st.session_state, st.query_params
    if NAME not in link or (link[NAME], link.get(NUMBER)) == state.get("lesson_link"):
        return
    names = [one.name for one in lessons_and_errors()[0]]
    steps = link.get(NUMBER, "1")
    if link[NAME] not in names:
        st.warning(say("lessons.no_such", name=escape_markdown(link[NAME])), icon=":material/link_off:")
        return
    session.set_aside(SET)
    state[NAME], state[NUMBER] = link[NAME], int(steps) - 1 if steps.isascii() and steps.isdigit() else 0
    # A session's first link with more parameters than the step was copied after changes to the step's state: keep them.
    state.lesson_enter = "lesson_link" in state or set(link) <= {NAME, NUMBER, *DISPLAY}
    current = current_step()
    if current and current[1].row is not None:
        state.setdefault(f"row_{current[1].kind}", current[1].row)  # the only value that no link holds


def _write_link(wanted: dict[str, str]) -> None:
    """Write the lesson and its step into the link, or remove them."""
    for key in (NAME, NUMBER):
        if key in wanted and st.query_params.get(key) != wanted[key]:
            st.query_params[key] = wanted[key]
        elif key not in wanted and key in st.query_params:
            del st.query_params[key]
    st.session_state.lesson_link = (wanted.get(NAME), wanted.get(NUMBER))


def _apply_state(step: LessonStep) -> None:
    """Set the widgets' values to those of a step."""
    state = st.session_state
    session.forget_text_choices()
    state.model, state.text, state.edits = step.model, step.sentence, step.edits
    state.shown_model = step.model  # it opens where the step says, not at its own first head
    state.whose = session.OWN if step.target is None else session.FORCED
    state.method, state.step = "greedy" if step.target is None else "forced", 0  # of the Output page
    if step.target is not None:
        state.target = state.forced_output = step.target
    state.update(dict.fromkeys(TOGGLES, False) | dict(step.also))
    on_screen = {"kind": step.kind, "layer": step.layer, "head": step.head, f"row_{step.kind}": step.row}
    state.update({key: value for key, value in on_screen.items() if value is not None})


@contextmanager
def lesson_beside() -> Iterator[None]:
    """A context in which a page is drawn beside the current step, its answer covered until given; else does nothing."""
    current, state = current_step(), st.session_state
    state.covered = False
    if current is None:
        yield
        return
    lesson, step, number = current
    st.html(BROWSER / "lesson.css")
    left, right = st.columns([3, 10], gap="small")
    with left, st.container(key="lesson", border=True):
        _panel(lesson, step, number)
    asked = _recorded_answer(lesson, number) is None
    state.covered = step.cover and asked
    with right:
        if step.cover:  # once answered, the sentence leaves its room empty: what is below stays in its place
            with st.container(key=("cover_all" if step.cover == "all" else "cover") if state.covered else "cover_room"):
                st.caption(f":material/visibility_off: {say('lessons.covered')}")
        with st.container(key="covered" if state.covered else "uncovered"):
            yield
    given = {
        "asks": asked and bool(step.question) and not step.choices,
        "answered": state.pop("lesson_answered", False),
        "look": step.look or "heatmap",
    }
    with right, st.container(key="script_lesson"):
        # The browser runs a script again only where it is another one, so it carries the step's name.
        text = f"<script>/* {lesson.name} {number} */ ({script('lesson')})({json.dumps(given)})</script>"
        st.html(text, unsafe_allow_javascript=True)


def _panel(lesson: Lesson, step: LessonStep, number: int) -> None:
    """Draw the step: text, question, and the buttons to other steps."""
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute", wrap=False):
        st.caption(lesson.title)
        st.button(
            ":material/close:", key="lesson_leave", on_click=leave_lesson, help=say("lessons.leave"), type="tertiary"
        )
    st.progress((number + 1) / len(lesson.steps), say("lessons.place", step=number + 1, steps=len(lesson.steps)))
    st.header(step.title, anchor=False)
    folds = _recorded_answer(lesson, number) is not None and step.length > ROOM
    with st.expander(say("lessons.text"), key=f"lesson_text_{number}") if folds else nullcontext():
        st.markdown(step.text)
    if step.question:
        _question(lesson, step, number)
    with st.container(horizontal=True, key="lesson_steps"):
        go, name = go_to_step, lesson.name
        if number:
            st.button(say("lessons.back"), key="lesson_back", on_click=go, args=(name, number - 1), shortcut="B")
        again, sign = say("lessons.again"), ":material/restart_alt:"
        st.button(again, key="lesson_again", icon=sign, help=again, on_click=go, args=(name, number), type="tertiary")
        after = [one.name for one in lessons_and_errors()[0] if one.name > name]
        last = number + 1 == len(lesson.steps)
        if last:
            st.button(say("lessons.finish"), key="lesson_finish", on_click=leave_lesson, args=(True,))
        if after or not last:
            st.button(
                say("lessons.next_lesson" if last else "lessons.next"),
                key="lesson_after" if last else "lesson_next",
                on_click=go,
                args=(after[0],) if last else (name, number + 1),
                type="primary",
                shortcut="N",
            )


def _question(lesson: Lesson, step: LessonStep, number: int) -> None:
    """Draw the step's question, or its verdict once answered."""
    recorded = _recorded_answer(lesson, number)
    if recorded is None:
        with st.container(key="lesson_ask", gap="small"):
            (_choices if step.choices else _form)(lesson, step, number)
        return
    answer, right = recorded
    verdict = {True: "right", False: "not_right", None: "open"}[right]
    with st.container(key="lesson_verdict", gap="small"):
        st.markdown(step.question if "**" in step.question else f"**{step.question}**")
        st.markdown(
            say(f"lessons.{verdict}", answer=_sentence_end(answer), right=_sentence_end(", ".join(step.answer[:1])))
        )
        if step.reveal:
            st.markdown(step.reveal)


def _form(lesson: Lesson, step: LessonStep, number: int) -> None:
    """Draw the box for an answer, which ends with Enter."""
    with st.form(f"lesson_form_{number}"):
        st.text_input(step.question, key=f"lesson_answer_{lesson.name}_{number}", max_chars=300)
        st.form_submit_button(say("lessons.answer"), on_click=_record_answer, args=(lesson, step, number))


def _choices(lesson: Lesson, step: LessonStep, number: int) -> None:
    """Draw the answers to choose from: a button each, so that one click answers."""
    st.markdown(step.question)
    flat = max(map(len, step.choices)) < 10  # a line or two hold them, and leave the room to what is read above
    with st.container(horizontal=flat, key="lesson_choices"):
        for place, choice in enumerate(step.choices):
            st.button(
                escape_markdown(choice),
                key=f"lesson_choice_{number}_{place}",
                on_click=_record_answer,
                args=(lesson, step, number, choice),
                width="content" if flat else "stretch",
            )


def _sentence_end(answer: str) -> str:
    """An answer without its full stop, to stand at the end of a sentence."""
    return escape_markdown(answer.strip().removesuffix("."))


def _recorded_answer(lesson: Lesson, number: int) -> tuple[str, bool | None] | None:
    """An answer and whether it was right; judged when given, as the language may have changed since."""
    return st.session_state.get("lesson_given", {}).get((lesson.name, number))


def _record_answer(lesson: Lesson, step: LessonStep, number: int, answer: str = "") -> None:
    """Record an answer, by default what was typed, if anything was; a callback."""
    state = st.session_state
    answer = answer or (state.get(f"lesson_answer_{lesson.name}_{number}") or "").strip()
    if not answer:
        return
    verdict = step.is_right(answer)
    state.setdefault("lesson_given", {})[lesson.name, number] = answer, verdict
    right = {True: "yes", False: "no", None: ""}[verdict]
    now = datetime.now(UTC).isoformat(timespec="seconds")
    question = re.sub(r"[*`]", "", step.question)
    state.setdefault("lesson_answers", []).append((now, lesson.name, number + 1, question, answer, right))
    state.lesson_answered = True
    if step.cover:
        state.lesson_enter = True  # who played with the covered page sees what the answer speaks of


def recorded_answers() -> list[tuple[str | int, ...]]:
    """The answers given in this browser session; a tuple of `viz.saving.tables.ANSWER_COLUMNS` each."""
    return st.session_state.get("lesson_answers", [])
