"""Every page in Chromium: it draws, fits the window, and axe finds nothing; lessons, masks, keys, screen readers."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect

from model.catalog.store import local_folder
from tests.app.driving import PAGES
from tests.browser.driving import (
    PHONE,
    assert_agrees,
    go,
    needs_chromium,
    out_of_sight,
    type_sentence,
    visit,
)
from tests.serving import settle
from viz.frame.bars.top_bar import GROUPS
from viz.language.messages import say

pytestmark = needs_chromium


def test_a_mask_is_painted_and_undone(page: Page) -> None:
    go(page, "See", "Masks")
    page.locator(".st-key-mask .main-svg").first.wait_for()
    page.locator(".st-key-kind").get_by_role("radio", name="encoder").click()
    settle(page)
    area = page.locator(".st-key-mask .nsewdrag").first
    area.scroll_into_view_if_needed()
    box = area.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * 3.5 / 6, box["y"] + box["height"] * 1.5 / 6)
    page.wait_for_timeout(300)
    page.mouse.down()
    page.mouse.up()
    settle(page)
    assert "blocked" in page.url
    expect(page.locator(".st-key-changing button").first).to_contain_text("1")
    page.locator(".st-key-changing button").first.click()
    settle(page)
    expect(page.get_by_test_id("stPopoverBody")).to_contain_text("token 1 may not look at token 3")
    page.get_by_role("button", name="Undo all changes").click()
    settle(page)
    assert "blocked" not in page.url


@pytest.mark.parametrize("size", [(1280, 800), (390, 844)])
def test_every_page_draws_without_an_error_or_a_sideways_scroll(page: Page, size: tuple[int, int]) -> None:
    for name in (*PAGES[1:], "lab", "whole", "heads"):
        page.set_viewport_size({"width": 1280, "height": 800})
        page.wait_for_timeout(300)
        group = next(group for group, names in GROUPS.items() if name in names)
        go(page, say(f"bar.{group}"), say(f"{name}.title"))
        assert page.title() == f"{say(f'{name}.title')} · Headlight"
        page.set_viewport_size({"width": size[0], "height": size[1]})
        # Figures; on Reading, words; on Lab, what begins its run.
        page.locator(".stPlotlyChart .main-svg, .read-token, .st-key-lab_go button").first.wait_for()
        settle(page)
        assert page.locator("[data-testid=stException], [data-testid=stAlertContentError]").count() == 0
        wide = page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth")
        assert wide <= page.evaluate("document.querySelector('[data-testid=stMain]').clientWidth"), name
        if size[0] == 1280:
            tall = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
            assert tall <= 2.5 * size[1], name


@pytest.mark.skipif(local_folder("smollm2") is None, reason="smollm2 has not been fetched")
def test_the_output_of_thirty_layers_is_not_taller_either(address: str, browser: Browser) -> None:
    path = "output?model=smollm2&text=The+old+red+car+stopped+near+us."
    with visit(browser, address, path, shows=".st-key-lens .main-svg") as visited:
        tall = visited.page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight / innerHeight")
    assert tall <= 2.5


def test_another_page_begins_at_its_top_and_a_choice_leaves_the_page_where_it_is(
    address: str, browser: Browser
) -> None:
    """Streamlit tells the browser of both in this way; what stood there before is not gone at once."""
    told = """address => {
      const main = document.querySelector("[data-testid=stMain]")
      main.scrollTop = 200
      history.pushState({}, "", address)
      return main.scrollTop
    }"""
    with visit(browser, address, "uses", shows=".st-key-use_open_code", viewport=PHONE) as visited:
        assert visited.page.evaluate(told, "/uses?layer=1") == 200
        assert visited.page.evaluate(told, "/heads") == 0


def seen_pictures(page: Page) -> int:
    """How many maps and tiles on the page can be seen."""
    return page.locator(".hm image, .imagelayer image").filter(visible=True).count()


@pytest.mark.parametrize("size", [(1280, 800), (390, 844)])
def test_the_first_lesson_from_its_start_to_its_answers(page: Page, size: tuple[int, int]) -> None:
    go(page, "Learn", "Lessons")
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.get_by_role("button", name="Start").first.click()
    settle(page)
    guide = page.locator(".st-key-lesson")
    expect(page.locator(".st-key-model")).to_be_hidden()  # this lesson is locked
    guide.get_by_role("button", name="512", exact=True).click()
    settle(page)
    expect(page.locator("h1")).to_contain_text("Why attention")
    expect(guide).to_contain_text("That is right.")
    for number in range(2, 8):
        if number == 3:
            page.keyboard.press("n")
        else:
            guide.get_by_role("button", name="Next").click()
        settle(page)
        expect(guide).to_contain_text(say("lessons.place", step=number, steps=7))
        assert f"lesson_step={number}" in page.url
        wide = page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth")
        assert wide <= page.evaluate("document.querySelector('[data-testid=stMain]').clientWidth")
        if number == 5:
            assert not seen_pictures(page)  # until there is an answer
            guide.get_by_role("button", name="him", exact=True).click()
            page.locator(".st-key-uncovered .st-key-heatmap .hm image").first.wait_for()
            settle(page)
            assert_agrees(page, 0, 3)
            assert seen_pictures(page)
            if size[0] > 1000:
                assert not out_of_sight(page, ("lesson_verdict", "heatmap"))
    guide.get_by_role("button", name="Finish").click()
    settle(page)
    expect(page.locator("h1")).to_contain_text("Lessons")
    with page.expect_download() as download:
        page.locator(".st-key-lesson_download").get_by_role("button").click()
    lines = download.value.path().read_text(encoding="utf-8-sig").splitlines()
    assert len(lines) == 3
    assert lines[1].endswith(",512,yes")
    assert lines[2].endswith(",him,yes")


def test_keys_lead_through_layers_and_heads_on_a_projector(page: Page) -> None:
    head, area = page.locator(".st-key-head_title h2"), page.locator("[data-testid=stMain]")
    page.keyboard.press("p")
    settle(page)
    assert "projector=1" in page.url
    for key, shown in (("ArrowRight", "Layer 0, head 4"), ("ArrowDown", "Layer 1, head 4"), ("ArrowLeft", "head 3")):
        page.keyboard.press(key)
        settle(page)
        expect(head).to_contain_text(shown)
    page.keyboard.press("h")
    settle(page)
    expect(area).to_contain_text("Special tokens are hidden")
    for full in (True, False):
        page.keyboard.press("f")
        settle(page)
        assert page.evaluate("!!document.fullscreenElement") == full
    page.keyboard.press("p")
    settle(page)
    expect(page.locator(".st-key-projector_on")).to_be_visible()
    assert "projector" not in page.url


def test_a_screen_reader_hears_the_sentence_and_finds_the_table(page: Page) -> None:
    said = page.locator("#said[role=status]")
    expect(said).to_contain_text("In layer 0, head 3,")
    before = said.text_content()
    type_sentence(page, "She sees the sea.")
    assert said.text_content() != before
    page.keyboard.press("Escape")
    page.locator(".st-key-head_right button").first.click()  # the second one is there for the key only
    settle(page)
    expect(said).to_contain_text("In layer 0, head 4,")
    page.locator(".st-key-save_heatmap button").focus()
    page.keyboard.press("Enter")
    settle(page)
    expect(page.locator("[data-testid=stPopoverBody] [data-testid=stDataFrame]")).to_be_visible()
    page.keyboard.press("Tab")  # focus moves into the menu, although it stands at the end of the document
    expect(page.get_by_role("button", name="Picture (PNG)")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator(".st-key-save_heatmap button")).to_be_focused()
