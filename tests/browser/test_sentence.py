"""Typing, links, saving, languages in Chromium; no console errors."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from tests.browser.driving import (
    Visit,
    assert_agrees,
    blank_page,
    click_at,
    go,
    needs_chromium,
    open_at,
    row_at,
    shown,
    tile_at,
    type_sentence,
)
from tests.serving import settle
from viz.language.messages import message_catalog

pytestmark = needs_chromium


def picture(page: Page, key: str) -> str:
    return page.locator(f".st-key-{key} .main-svg").first.evaluate("e => e.outerHTML")


def test_enter_runs_the_sentence_and_shift_enter_breaks_the_line(visited: Visit) -> None:
    page = visited.page
    before, words = picture(page, "heatmap"), page.locator(".st-key-output .token")
    box, sent = page.locator(".st-key-sentence textarea"), len(visited.sent)
    box.fill("She sees the sea")
    box.press("Shift+Enter")
    page.keyboard.type("and the sun.")
    page.wait_for_timeout(500)
    expect(box).to_have_value("She sees the sea\nand the sun.")
    assert len(visited.sent) == sent  # nothing was run
    assert picture(page, "heatmap") == before
    box.press("Enter")
    expect(words.filter(has_text="soleil")).to_have_count(1)
    settle(page)
    expect(box).to_have_value("She sees the sea\nand the sun.")
    expect(box).to_be_focused()
    assert picture(page, "heatmap") != before
    labels = page.locator(".st-key-heatmap .xtick text").all_text_contents()
    assert labels.count("the") == 2  # a repeated token keeps its own column


def test_a_map_asks_for_enough_room_and_is_drawn_once(page: Page) -> None:
    """Where its labels need more than the margins it asks for, Plotly draws it a second time."""
    for sentence in ("Extraordinarily misunderstood WWWWWWW MMMMMMM!", "I am"):
        type_sentence(page, sentence)
        asked, taken = page.locator(".st-key-heatmap .js-plotly-plot").evaluate(
            "plot => [plot._fullLayout.margin, plot._fullLayout._size].map(room => [room.l, room.r, room.t, room.b])"
        )
        assert taken == asked


def test_back_leads_to_the_page_before_and_loses_nothing(page: Page) -> None:
    type_sentence(page, "I see a tree.")
    go(page, "See", "Masks")
    page.locator(".st-key-layer_next button").first.click()
    settle(page)
    page.go_back()
    expect(page.locator("h1")).to_contain_text("Heads")
    settle(page)
    assert "layer=1" in page.url
    assert_agrees(page, 1, 3)
    expect(page.locator(".st-key-sentence textarea")).to_have_value("I see a tree.")
    page.go_forward()
    expect(page.locator("h1")).to_contain_text("Masks")
    settle(page)


def test_hover_says_it_in_words(page: Page) -> None:
    area = page.locator(".st-key-heatmap .nsewdrag").first
    area.scroll_into_view_if_needed()
    box = area.bounding_box()
    assert box
    label = page.locator(".st-key-heatmap .hoverlayer .hovertext")
    page.mouse.move(box["x"] + 15, box["y"] + 15)
    expect(label).to_contain_text("'<s>' looks at 'The [▁The]'")
    for key, said in ((0, "The [▁The]"), (3, "stopped [▁stopped]"), (5, "</s>")):  # beside, under and beside the cell
        x = box["x"] + (key + 0.5) * box["width"] / 6
        page.mouse.move(x, box["y"] + 15)
        expect(label).to_contain_text(f"looks at '{said}'")
        over = label.bounding_box()
        assert over
        across, down = x - over["x"], box["y"] + 15 - over["y"]
        assert not (0 < across < over["width"] and 0 < down < over["height"])


def test_a_link_reopens_the_same_view(page: Page, address: str) -> None:
    type_sentence(page, "I see a tree.")
    click_at(page, tile_at(page, 1, 6))
    click_at(page, row_at(page, 3))
    page.mouse.move(640, 4)
    link, seen = page.url, assert_agrees(page, 1, 6, row=3)
    page.goto("about:blank")
    open_at(page, link)
    assert page.locator(".st-key-sentence textarea").input_value() == "I see a tree."
    again = assert_agrees(page, 1, 6, row=3)
    assert [again[part] for part in ("heading", "reading", "weights")] == [
        seen[part] for part in ("heading", "reading", "weights")
    ]


def test_a_shared_link_opens_the_same_picture_on_another_computer(page: Page, address: str) -> None:
    type_sentence(page, "She sees the sea.")
    page.locator(".st-key-kind").get_by_role("radio", name="encoder").click()
    settle(page)
    click_at(page, tile_at(page, 0, 6))
    click_at(page, row_at(page, 3))
    page.get_by_text("Hide special tokens").click()
    settle(page)
    page.mouse.move(640, 4)
    page.locator(".st-key-share_menu button").first.click()
    settle(page)
    expect(page.locator("[data-testid=stPopoverBody] img")).to_be_visible()  # the QR code
    link = page.locator("[data-testid=stPopoverBody] code").text_content()
    assert link
    assert page.context.browser
    with blank_page(page.context.browser, address) as other:
        other.goto(link)
        other.locator(".st-key-lines .main-svg").first.wait_for(timeout=60_000)
        settle(other)
        assert other.locator("[data-testid=stAlert]").count() == 0
        for chart in ("heatmap", "lines"):
            drawn = [one.locator(f".st-key-{chart} .plot-container").first for one in (page, other)]
            first, second = (one.evaluate("e => e.innerText + e.querySelectorAll('image').length") for one in drawn)
            assert first == second
        pictures = [one.locator(".st-key-heatmap .heatmaplayer image").get_attribute("href") for one in (page, other)]
        assert pictures[0] == pictures[1]
        assert [shown(one)["reading"] for one in (page, other)] == [shown(page)["reading"]] * 2
        assert (shown(other)["layer"], shown(other)["head"], shown(other)["row"]) == (0, 6, 3)


def test_a_figure_is_saved_from_its_menu(page: Page, tmp_path: Path) -> None:
    page.locator(".st-key-save_heatmap button").first.click()
    settle(page)
    for label, start in (
        ("Picture (PNG)", b"\x89PNG"),
        ("Picture (SVG)", b"<?xml"),
        ("Numbers (CSV)", b"\xef\xbb\xbfLayer"),
    ):
        with page.expect_download() as download:
            page.get_by_role("button", name=label).click()
        download.value.save_as(tmp_path / "saved")
        assert (tmp_path / "saved").read_bytes().startswith(start)


def test_markup_is_shown_not_run(page: Page) -> None:
    typed = "I like <b>bold</b> and :red[words] and *stars*."
    type_sentence(page, typed)
    expect(page.locator(".st-key-sentence textarea")).to_have_value(typed)
    labels = "".join(page.locator(".st-key-heatmap .xtick text").all_text_contents())
    assert "<unk>" in labels
    assert page.locator(":is(.st-key-output .tokens, .st-key-reading) :is(b, em)").count() == 0


def test_the_language_is_chosen_in_the_bar(page: Page) -> None:
    page.locator(".st-key-languages button").click()
    page.get_by_test_id("stPopoverBody").get_by_text("Deutsch", exact=True).click()
    settle(page)
    page.keyboard.press("Escape")
    expect(page.locator("h1")).to_contain_text("Köpfe")
    assert "language=de" in page.url
    assert page.evaluate("document.documentElement.lang") == "de"
    go(page, message_catalog("de")["bar"]["see"], "Masken")
    assert "language=de" in page.url
    assert page.locator("[data-testid=stException], [data-testid=stAlertContentError]").count() == 0


def test_the_browser_is_greeted_in_its_own_language(address: str, browser: Browser) -> None:
    with browser.new_context(locale="es-MX") as context:
        page = context.new_page()
        page.goto(address)
        expect(page.locator("h1")).to_contain_text("El modelo entero", timeout=60_000)


def test_a_page_takes_one_click(page: Page) -> None:
    """Its group opens under the mouse, and closes where the mouse goes on; pressing as well leaves it open."""
    group = page.get_by_test_id("stTopNavSection").filter(has=page.get_by_text("See", exact=True))
    group.hover()
    entry = page.get_by_role("menuitem").filter(has=page.get_by_text("Masks", exact=True))
    expect(entry).to_be_visible()
    page.mouse.move(640, 500, steps=4)
    expect(entry).to_have_count(0)
    group.hover()
    expect(entry).to_be_visible()
    group.click()
    expect(entry).to_be_visible()
    entry.click()
    expect(page.locator("h1")).to_contain_text("Masks")


def test_the_old_address_of_the_first_page_still_answers(browser: Browser, address: str) -> None:
    with blank_page(browser, address) as page:  # not `visit`: Streamlit asks for two files that are not there
        page.goto(f"{address}/start")
        page.locator(".st-key-heatmap .main-svg").first.wait_for(timeout=60_000)
        assert "seem to exist" not in page.locator("body").inner_text()
