"""The panel of each step of a lesson stands in a window of 1280 x 800 without being scrolled, in every language."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from model.assets import ASSETS
from model.lessons.lesson import LessonStep, load_lessons
from tests.browser.driving import blank_page, needs_chromium
from tests.serving import serve
from viz.frame.lesson_guide import PAGES, ROOM
from viz.language.messages import languages

# The panel as `lesson_guide` draws it, without the page beside it: a step of the list in each run.
PANEL = """
import streamlit as st
from viz.browser.resources import BROWSER
from viz.frame import audience, lesson_guide

st.set_page_config(layout="wide")
st.html(BROWSER / "style.css")
audience.enter()
audience.colours()
st.html(BROWSER / "lesson.css")
lessons = {one.name: one for one in lesson_guide.lessons_and_errors()[0]}
steps = st.query_params.get_all("step")
at = st.session_state.setdefault("at", 0)
name, number, answered = steps[min(at, len(steps) - 1)].split()
lesson, number = lessons[name], int(number)
step = lesson.steps[number]
answer = max((*step.choices, *step.answer[:1]), key=len, default="My answer.")
st.session_state.lesson_given = {(name, number): (answer, False if step.answer else None)} if answered == "1" else {}
left, right = st.columns([3, 10], gap="small")
with left, st.container(key="lesson", border=True):
    lesson_guide._panel(lesson, step, number)
right.button("On", key="on", on_click=lambda: st.session_state.update(at=st.session_state.at + 1))
right.html(f"<p id='at'>{at}</p><div style='height: 1200px'></div>")
"""
BELOW = """() => {
  const column = document.querySelector(".st-key-lesson").closest("[data-testid=stColumn]")
  return column.scrollHeight - column.clientHeight
}"""


@pytest.fixture(scope="module")
def panels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("panels")
    (folder / "panel.py").write_text(PANEL, encoding="utf-8")
    (folder / "static").symlink_to(Path("static").resolve())  # the fonts
    with serve(str(folder / "panel.py")) as address:
        yield address


def longest(language: str, many: int) -> list[str]:
    """The steps that say most, as the script above takes them: asking, answered, and answered with a folded text."""
    found = load_lessons(ASSETS / "lessons", PAGES, language)[0]
    steps = [(step, f"{lesson.name} {number}") for lesson in found for number, step in enumerate(lesson.steps)]

    def asking(step: LessonStep) -> int:
        return len(step.text) + len(step.question) + 2 * len("".join(step.choices)) + 40 * step.text.count("\n")

    asked = sorted(steps, key=lambda one: asking(one[0]))[-many:]
    answered = sorted((one for one in steps if one[0].length <= ROOM), key=lambda one: one[0].length)[-many:]
    folded = sorted(steps, key=lambda one: len(one[0].reveal) + one[0].length)[-many:]
    return [f"{name} 0" for _, name in asked] + [f"{name} 1" for _, name in (*answered, *folded)]


def scrolled(page: Page, address: str, language: str, steps: list[str]) -> dict[str, int]:
    """How many pixels of which steps lie below the panel's edge."""
    found = {}
    page.goto(f"{address}/?language={language}&" + "&".join(f"step={one.replace(' ', '+')}" for one in steps))
    for at, step in enumerate(steps):
        expect(page.locator("#at")).to_have_text(str(at), timeout=30_000)
        expect(page.locator("[data-testid=stApp][data-test-script-state=notRunning]")).to_be_visible()
        page.evaluate("document.fonts.ready")
        page.wait_for_timeout(50)
        if (below := page.evaluate(BELOW)) > 0:
            found[step] = below
        page.locator(".st-key-on button").click()
    return found


@needs_chromium
@pytest.mark.parametrize("language", languages())
def test_the_longest_steps_stand_in_the_panel(panels: str, browser: Browser, language: str) -> None:
    with blank_page(browser, panels) as page:
        assert not scrolled(page, panels, language, longest(language, 8))
