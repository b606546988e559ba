"""A lesson beside the live pages: its step, its question, and the learner's answers."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import NoReturn

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from model.assets import ASSETS
from model.lessons.lesson import Lesson, Step, load_all
from model.lessons.lesson_file import LessonError
from viz.browser.resources import BROWSER
from viz.frame import session
from viz.language.messages import plain, say, spoken

FOLDER = ASSETS / "lessons"
PAGES = tuple(sorted(path.stem for path in (Path(__file__).parents[1] / "pages").glob("*.py")))
COLUMNS = ("time", "lesson", "step", "question", "answer", "right")
NAME, NUMBER = "lesson", "lesson_step"  # in the session and in the link; there, steps count from 1
AROUND = ("language", "projector")  # may stand in a link to a step without saying what is looked at
TOGGLES = ("words", "hide")  # off unless a step says otherwise


@lru_cache(maxsize=8)
def _read(folder: Path, language: str, changed: tuple[tuple[str, int], ...]) -> tuple[list[Lesson], list[LessonError]]:
    return load_all(folder, PAGES, language)


def all_lessons() -> tuple[list[Lesson], list[LessonError]]:
    """The lessons in the language of the page, and what is wrong with those that cannot be read.

    Read again when a file has changed.
    """
    files = sorted([*FOLDER.iterdir(), *FOLDER.glob("*/*.md")])
    return _read(FOLDER, spoken(), tuple((str(file), file.stat().st_mtime_ns) for file in files))


def running() -> tuple[Lesson, Step, int] | None:
    """The lesson that runs, its step, and the step's number from 0."""
    name = st.session_state.get(NAME)
    lesson = next((one for one in all_lessons()[0] if one.name == name), None)
    if lesson is None:
        return None
    number = min(max(st.session_state.get(NUMBER, 0), 0), len(lesson.steps) - 1)
    return lesson, lesson.steps[number], number


def go(name: str, number: int = 0) -> None:
    """Enter a step of a lesson; for callbacks of widgets."""
    st.session_state[NAME], st.session_state[NUMBER] = name, number
    st.session_state.lesson_enter = True


def leave() -> None:
    """End the lesson; what it set stays. For callbacks of widgets."""
    for key in (NAME, NUMBER, "lesson_enter"):
        st.session_state.pop(key, None)


def enter(pages: Mapping[str, StreamlitPage], page: StreamlitPage) -> None:
    """Follow the link, and where a step was just entered, set the app to its state: before any widget is drawn."""
    st.html(f"<style>:root {{ --page: {session.palette().page}; }}</style>")
    _follow_link()
    found = running()
    if found is None:
        _write_link({})
        return
    lesson, step, number = found
    link = {NAME: lesson.name, NUMBER: str(number + 1)}
    if st.session_state.get("lesson_enter"):
        if page.url_path != pages[step.page].url_path:
            _switch(pages[step.page], link)
        del st.session_state.lesson_enter
        _set(step)
    _write_link(link)
    if lesson.locked:
        st.html(f"<style>{LOCKED}</style>")


def _switch(page: StreamlitPage | str, link: dict[str, str]) -> NoReturn:
    """Go to a page; what its widgets hold comes into the link by itself."""
    st.session_state.lesson_link = (link.get(NAME), link.get(NUMBER))
    # Without query parameters of its own, Streamlit refuses to leave a page whose widgets are in the link.
    st.switch_page(page, query_params=link)


# The widgets stay in the page, where they hold the state; only nobody sees or reaches them.
LOCKED = "[data-testid=stSidebar], [data-testid=stExpandSidebarButton] { display: none; }"


def _follow_link() -> None:
    """Go where the link says, unless it says what it was last made to say."""
    state, link = st.session_state, st.query_params
    if NAME not in link or (link[NAME], link.get(NUMBER)) == state.get("lesson_link"):
        return
    names = [one.name for one in all_lessons()[0]]
    steps = link.get(NUMBER, "1")
    if link[NAME] not in names:
        st.warning(say("lessons.no_such", name=plain(link[NAME])), icon=":material/link_off:")
        return
    state[NAME], state[NUMBER] = link[NAME], int(steps) - 1 if steps.isascii() and steps.isdigit() else 0
    # A browser's first link that holds more than the step was copied while somebody played on: it shows what they saw.
    state.lesson_enter = "lesson_link" in state or set(link) <= {NAME, NUMBER, *AROUND}
    found = running()
    if found and found[1].row is not None:
        state.setdefault(f"row_{found[1].kind}", found[1].row)  # the one thing that no link holds


def _write_link(wanted: dict[str, str]) -> None:
    for key in (NAME, NUMBER):
        if key in wanted and st.query_params.get(key) != wanted[key]:
            st.query_params[key] = wanted[key]
        elif key not in wanted and key in st.query_params:
            del st.query_params[key]
    st.session_state.lesson_link = (wanted.get(NAME), wanted.get(NUMBER))


def _set(step: Step) -> None:
    state = st.session_state
    state.model, state.text, state.edits = step.model, step.sentence, step.edits
    state.whose = session.OWN if step.target is None else session.FORCED
    state.method, state.step = "greedy" if step.target is None else "forced", 0  # of the Output page
    if step.target is not None:
        state.target = state.forced_output = step.target
    state.update({key: step.also.get(key, False) for key in TOGGLES})
    state.update({key: value for key, value in step.also.items() if key not in TOGGLES})
    looked_at = {"kind": step.kind, "layer": step.layer, "head": step.head, f"row_{step.kind}": step.row}
    state.update({key: value for key, value in looked_at.items() if value is not None})


@contextmanager
def guide() -> Iterator[None]:
    """The step beside what is drawn inside this block; just the block where no lesson runs.

    Raises:
        Halt: what is inside is not to be seen before the question is answered.
    """
    found = running()
    if found is None:
        yield
        return
    lesson, step, number = found
    st.html(BROWSER / "lesson.css")
    left, right = st.columns([4, 9], gap="medium")
    with left, st.container(key="lesson", border=True):
        _panel(lesson, step, number)
    with right:
        if step.cover and _given(lesson, number) is None:
            st.info(say("lessons.covered"), icon=":material/visibility_off:")
            raise session.Halt
        yield


def _panel(lesson: Lesson, step: Step, number: int) -> None:
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute", wrap=False):
        st.caption(lesson.title, width="content")
        st.button(":material/close:", key="lesson_leave", on_click=leave, help=say("lessons.leave"), type="tertiary")
    place = say("lessons.place", step=number + 1, steps=len(lesson.steps))
    st.progress((number + 1) / len(lesson.steps), place)
    st.header(step.title, anchor=False)
    st.markdown(step.text)
    if step.question:
        _question(lesson, step, number)
    with st.container(horizontal=True, key="lesson_steps"):
        if number:
            st.button(say("lessons.back"), key="lesson_back", on_click=go, args=(lesson.name, number - 1))
        st.button(say("lessons.again"), key="lesson_again", on_click=go, args=(lesson.name, number), type="tertiary")
        if number + 1 < len(lesson.steps):
            st.button(
                say("lessons.next"),
                key="lesson_next",
                on_click=go,
                args=(lesson.name, number + 1),
                type="primary",
                shortcut="N",
            )
        elif st.button(say("lessons.finish"), key="lesson_finish", type="primary"):
            leave()
            _switch("viz/pages/lessons.py", {})


def _question(lesson: Lesson, step: Step, number: int) -> None:
    given = _given(lesson, number)
    if given is None:
        key = f"lesson_answer_{lesson.name}_{number}"
        with st.form(f"lesson_form_{number}"):
            if step.choices:
                st.radio(step.question, step.choices, index=None, key=key, format_func=plain)
            else:
                st.text_input(step.question, key=key, max_chars=300)
            st.form_submit_button(say("lessons.answer"), on_click=_answer, args=(lesson, step, number, key))
        return
    st.markdown(step.question if "**" in step.question else f"**{step.question}**")
    answer, right = given
    verdict = {True: "right", False: "not_right", None: "open"}[right]
    st.markdown(say(f"lessons.{verdict}", answer=_end(answer), right=_end(", ".join(step.answer[:1]))))
    if step.reveal:
        st.markdown(step.reveal)


def _end(answer: str) -> str:
    """An answer as it stands at the end of a sentence, whose full stop follows."""
    return plain(answer.strip().removesuffix("."))


def _given(lesson: Lesson, number: int) -> tuple[str, bool | None] | None:
    """What was answered and whether it was right: judged once, as the language may have changed since."""
    given: tuple[str, bool | None] | None = st.session_state.get("lesson_given", {}).get((lesson.name, number))
    return given


def _answer(lesson: Lesson, step: Step, number: int, key: str) -> None:
    given = (st.session_state.get(key) or "").strip()
    if not given:
        return
    state = st.session_state
    verdict = step.is_right(given)
    state.setdefault("lesson_given", {})[lesson.name, number] = given, verdict
    right = {True: "yes", False: "no", None: ""}[verdict]
    now = datetime.now(UTC).isoformat(timespec="seconds")
    asked = re.sub(r"[*`]", "", step.question)
    state.setdefault("lesson_answers", []).append((now, lesson.name, number + 1, asked, given, right))
    if step.cover:
        state.lesson_enter = True  # what was covered may have been drawn by another step since


def answers() -> list[tuple[str | int, ...]]:
    """What this browser session has answered so far; one tuple of `COLUMNS` an answer."""
    found: list[tuple[str | int, ...]] = st.session_state.get("lesson_answers", [])
    return found


def as_csv(rows: list[tuple[str | int, ...]]) -> bytes:
    """Answers as CSV with a header, marked as UTF-8 so that spreadsheets read accents right."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    # A spreadsheet would run a cell that begins like a formula; the apostrophe makes it text.
    writer.writerows(
        [
            f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell
            for cell in row
        ]
        for row in rows
    )
    return text.getvalue().encode("utf-8-sig")
