"""The running app in Chromium: type, watch the maps change, click a thumbnail, find no error anywhere."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.serving import CHROMIUM, chromium, serve, settle

pytestmark = pytest.mark.skipif(
    CHROMIUM is None and "CI" not in os.environ, reason="Chromium is missing: install Debian's package chromium"
)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with serve() as address:
        yield address


@pytest.fixture
def page(address: str) -> Iterator[Page]:
    """A fresh browser page on the app's first page; fails on any error in the console."""
    errors: list[str] = []
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda r: None if r.url.startswith((address, "data:", "blob:")) else errors.append(r.url))
        page.goto(address)
        page.locator(".st-key-heatmap .main-svg").first.wait_for(timeout=60_000)
        settle(page)
        yield page
    assert not errors


def picture(page: Page, key: str) -> str:
    return page.locator(f".st-key-{key} .main-svg").first.evaluate("e => e.outerHTML")


def type_sentence(page: Page, sentence: str) -> None:
    box = page.get_by_role("textbox", name="Your sentence")
    box.fill(sentence)
    box.press("Control+Enter")
    settle(page)


def test_typing_a_sentence_changes_the_maps(page: Page) -> None:
    before = picture(page, "heatmap")
    type_sentence(page, "She sees the sea and the sun.")
    assert picture(page, "heatmap") != before
    labels = page.locator(".st-key-heatmap .xtick text").all_text_contents()
    assert labels.count("the") == 2  # a repeated token keeps its own column
    expect(page.locator("[data-testid=stMain]")).to_contain_text("She sees the sea and the sun.")


def test_clicking_a_thumbnail_opens_that_head(page: Page) -> None:
    for layer, head in ((0, 1), (2, 6), (1, 3)):
        area = page.locator(".st-key-mosaic .nsewdrag").first
        area.scroll_into_view_if_needed()
        box = area.bounding_box()
        assert box
        page.mouse.move(box["x"] + box["width"] * (head + 0.5) / 8, box["y"] + box["height"] * (layer + 0.5) / 3)
        page.wait_for_timeout(300)
        page.mouse.down()
        page.mouse.up()
        settle(page)
        expect(page.locator("h2").first).to_have_text(f"Layer {layer}, head {head}")
        assert f"layer {layer}, head {head}" in page.locator(".st-key-heatmap .gtitle").text_content()  # type: ignore[operator]


def test_hover_says_it_in_words(page: Page) -> None:
    area = page.locator(".st-key-heatmap .nsewdrag").first
    area.scroll_into_view_if_needed()
    box = area.bounding_box()
    assert box
    page.mouse.move(box["x"] + 15, box["y"] + 15)
    page.wait_for_timeout(500)
    assert "'<s>' looks at 'The [▁The]'" in "".join(page.locator(".st-key-heatmap .hoverlayer").all_text_contents())


def test_a_link_reopens_the_same_view(page: Page, address: str) -> None:
    type_sentence(page, "I see a tree.")
    page.locator(".st-key-head").get_by_role("radio", name="6").click()
    settle(page)
    link, drawn = page.url, page.locator(".st-key-heatmap .gtitle").text_content()
    page.goto("about:blank")
    page.goto(link)
    page.locator(".st-key-heatmap .main-svg").first.wait_for(timeout=60_000)
    settle(page)
    assert page.get_by_role("textbox", name="Your sentence").input_value() == "I see a tree."
    assert page.locator(".st-key-heatmap .gtitle").text_content() == drawn


def test_markup_is_shown_not_run(page: Page) -> None:
    typed = "I like <b>bold</b> and :red[words] and *stars*."
    type_sentence(page, typed)
    expect(page.locator("[data-testid=stMain]")).to_contain_text(typed)


@pytest.mark.parametrize("size", [(1280, 800), (390, 844)])
def test_every_page_draws_without_an_error_or_a_sideways_scroll(page: Page, size: tuple[int, int]) -> None:
    for name in ("Inside a head", "Masks", "Positions", "Layers", "Code", "Heads"):
        page.set_viewport_size({"width": 1280, "height": 800})
        page.wait_for_timeout(300)
        page.get_by_role("link", name=name, exact=True).click()
        settle(page)
        page.set_viewport_size({"width": size[0], "height": size[1]})
        expect(page.locator("h1")).to_have_text(name)
        page.locator(".stPlotlyChart .main-svg").first.wait_for()
        assert page.locator("[data-testid=stException]").count() == 0
        wide = page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth")
        assert wide <= page.evaluate("document.querySelector('[data-testid=stMain]').clientWidth")
