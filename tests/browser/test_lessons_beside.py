"""A lesson beside its page: what is covered says nothing before the answer, and the panel stays below the bar."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page

from model.catalog.store import local_folder
from model.structures.molecules import can_draw
from tests.browser.driving import DESKTOP, needs_chromium, out_of_sight, visit
from tests.serving import settle

pytestmark = needs_chromium
ASK = ".st-key-lesson_ask button"
SAYS = """selector => [...document.querySelectorAll(selector)].map(one => {
  const style = getComputedStyle(one)
  return one.matches(".copied") ? style.textDecorationLine !== "none" : style.visibility === "visible"
})"""
FILLS = """() => [...document.querySelectorAll(".molecules .atom circle")].map(one => getComputedStyle(one).fill)"""


def answer(page: Page) -> None:
    """Choose the first answer, and wait until the page shows what was covered."""
    page.locator(ASK).first.click()
    settle(page)
    page.wait_for_timeout(2000)  # it scrolls


@pytest.mark.parametrize(
    ("step", "selectors"),
    [
        ("14-summaries&lesson_step=1", (".read-token.copied", ".read-sentence .cover")),
        ("15-programs&lesson_step=1", (".written .new", ".written .then", ".st-key-step_candidates .ytick text")),
    ],
)
def test_what_answers_a_question_is_covered(
    address: str, browser: Browser, step: str, selectors: tuple[str, ...]
) -> None:
    with visit(browser, address, f"lessons?lesson={step}", shows=ASK) as visited:
        page = visited.page
        for selector in selectors:
            said = page.evaluate(SAYS, selector)
            assert said, selector
            assert not any(said), selector
        answer(page)
        for selector in selectors:
            assert any(page.evaluate(SAYS, selector)), selector


@pytest.mark.skipif(local_folder("rxnmapper") is None, reason="run `python -m model.catalog get rxnmapper` first")
@pytest.mark.skipif(not can_draw(), reason="RDKit is missing: pip install -r requirements-apps.txt")
def test_the_atom_that_is_looked_at_is_covered(address: str, browser: Browser) -> None:
    with visit(browser, address, "lessons?lesson=12-reactions&lesson_step=1", shows=ASK) as visited:
        page = visited.page
        assert len(set(page.evaluate(FILLS))) == 1
        answer(page)
        assert len(set(page.evaluate(FILLS))) > 1


def test_the_panel_stays_below_a_bar_that_a_long_sentence_made_high(address: str, browser: Browser) -> None:
    with visit(browser, address, "lessons?lesson=14-summaries&lesson_step=3", shows=ASK) as visited:
        page = visited.page
        page.mouse.move(900, 500)
        page.mouse.wheel(0, 600)
        page.wait_for_timeout(500)
        assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollTop") > 30
        bar, panel = (page.locator(one).bounding_box() for one in (".st-key-bar", ".st-key-lesson"))
        assert bar is not None
        assert panel is not None
        assert bar["height"] > 120  # more than its usual two lines
        assert panel["y"] >= bar["y"] + bar["height"]


def test_after_an_answer_what_the_step_asks_for_is_in_sight_too(address: str, browser: Browser) -> None:
    with visit(browser, address, "lessons?lesson=11-clips&lesson_step=1", shows=ASK, viewport=DESKTOP) as visited:
        page = visited.page
        answer(page)
        assert not out_of_sight(page, ("lesson_verdict", "controls"))  # "choose head 2"
        play = page.locator(".clip-play").bounding_box()
        assert play is not None
        assert play["y"] + play["height"] <= DESKTOP["height"]
