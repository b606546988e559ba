"""Everything in sight together, without scrolling: at rest and after a click on a tile, on a row, and an arrow key."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, Page

from model.catalog.store import local_folder
from tests.browser.driving import (
    DESKTOP,
    PARTS,
    PHONE,
    Visit,
    assert_agrees,
    click_at,
    needs_chromium,
    open_at,
    out_of_sight,
    row_at,
    shown,
    tile_at,
    visit,
)
from tests.serving import settle

pytestmark = needs_chromium
# Tokens that a model reads in it, give or take one -> sentence.
SENTENCES = {
    8: "The red car stopped near us.",
    24: "The red car stopped near the old house and the man in it saw the cat with the dog on the road.",
}
SIZES = [(1280, 800), (1440, 900), (1024, 768), (1920, 1080)]


def model(name: str) -> object:
    there = local_folder(name) is not None
    return pytest.param(name, marks=pytest.mark.skipif(not there, reason=f"{name} has not been fetched"))


@pytest.fixture(scope="module")
def visited(address: str, browser: Browser) -> Iterator[Visit]:
    """One visit for the whole file, which changes its address."""
    with visit(browser, address) as visited:
        yield visited


@pytest.mark.parametrize("tokens", SENTENCES)
@pytest.mark.parametrize("name", [model("en-fr"), model("minilm"), model("smollm2")])
def test_all_is_in_sight_at_rest_and_after_each_choice(visited: Visit, address: str, name: str, tokens: int) -> None:
    page = visited.page
    page.set_viewport_size(DESKTOP)  # type: ignore[arg-type]
    open_at(page, f"{address}/heads?{urlencode({'model': name, 'text': SENTENCES[tokens]})}")
    assert len(shown(page)["weights"][0]) == pytest.approx(tokens, abs=1)  # columns
    assert not out_of_sight(page)
    click_at(page, tile_at(page, 1, 2))
    assert_agrees(page, 1, 2)
    assert not out_of_sight(page)
    click_at(page, row_at(page, 4))
    assert_agrees(page, 1, 2, row=4)
    assert not out_of_sight(page)
    page.keyboard.press("ArrowRight")
    settle(page)
    assert_agrees(page, 1, 3, row=4)
    assert not out_of_sight(page)


@pytest.mark.parametrize("size", SIZES)
def test_all_is_in_sight_on_every_screen(visited: Visit, address: str, size: tuple[int, int]) -> None:
    page = visited.page
    page.set_viewport_size({"width": size[0], "height": size[1]})
    open_at(page, f"{address}/heads")
    assert not out_of_sight(page)
    click_at(page, tile_at(page, 2, 6))
    assert_agrees(page, 2, 6)
    assert not out_of_sight(page)


def test_all_is_in_sight_under_the_large_type_of_a_projector(visited: Visit, address: str) -> None:
    page = visited.page
    page.set_viewport_size(DESKTOP)  # type: ignore[arg-type]
    open_at(page, f"{address}/heads?projector=1")
    assert not out_of_sight(page)
    page.goto(f"{address}/inside?projector=1")  # whose controls take more than one line
    page.locator(".st-key-vectors .main-svg").first.wait_for(timeout=90_000)
    settle(page)
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth <= innerWidth")
    last = page.locator(".st-key-controls select, .st-key-controls [data-testid=stSelectbox]").last.bounding_box()
    assert last
    assert last["x"] + last["width"] <= DESKTOP["width"]


def test_on_a_phone_sentence_output_and_tiles_are_in_sight(visited: Visit, address: str) -> None:
    page = visited.page
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    open_at(page, f"{address}/heads")
    assert not out_of_sight(page, ("sentence", "output"))
    assert page.locator(".st-key-mosaic").bounding_box()["y"] < 0.6 * PHONE["height"]  # type: ignore[index]
    box = page.locator(".st-key-sentence textarea").bounding_box()
    assert box
    assert box["width"] > 0.5 * PHONE["width"]
    assert page.evaluate("e => document.elementFromPoint(...e)?.matches('textarea')", middle(box))


def middle(box: dict[str, float]) -> list[float]:
    return [box["x"] + box["width"] / 2, box["y"] + box["height"] / 2]


def test_what_is_out_of_sight_would_be_found(visited: Visit, address: str) -> None:
    """The measure itself: it finds what is pushed below the fold, past the edge, and what is not there."""
    page = visited.page
    page.set_viewport_size(DESKTOP)  # type: ignore[arg-type]
    open_at(page, f"{address}/heads")
    assert not out_of_sight(page)
    push(page, "reading", "top: 300px")
    push(page, "lines", "left: 900px")
    page.evaluate("document.querySelector('.st-key-mosaic').remove()")
    assert set(out_of_sight(page)) == {"reading", "lines", "mosaic"}
    assert set(PARTS) > {"reading", "lines", "mosaic"}


def push(page: Page, key: str, style: str) -> None:
    page.evaluate(f"document.querySelector('.st-key-{key}').style.cssText += ';position: relative; {style}'")
