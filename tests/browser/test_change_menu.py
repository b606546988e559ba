"""The menu of changes at a tile, a word and a cell, by right click, long press and key; what follows is in sight."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.driving import PHONE, needs_chromium, out_of_sight, row_at, tile_at, visit
from tests.serving import settle
from viz.language.messages import say

pytestmark = needs_chromium


def menu(page: Page) -> Locator:
    return page.get_by_role("menu").and_(page.locator("#change-menu"))


def choose(page: Page, name: str, **values: object) -> None:
    menu(page).get_by_role("menuitem", name=say(f"head_menu.{name}", **values), exact=True).click()
    settle(page)


def test_a_head_is_muted_where_its_tile_stands_in_two_clicks(page: Page) -> None:
    page.mouse.click(*tile_at(page, 2, 6), button="right")
    expect(menu(page)).to_have_attribute("aria-label", say("head_menu.head", layer=2, head=6))
    choose(page, "mute")
    expect(menu(page)).to_have_count(0)
    assert "heads%3Across.2.6%3D0" in page.url
    assert page.locator(".tile-muted").get_attribute("d")  # its tile stays marked
    assert not out_of_sight(page)
    expect(page.locator(".st-key-output .before")).to_be_in_viewport()  # before → after
    page.mouse.click(*tile_at(page, 2, 6), button="right")
    expect(menu(page).get_by_role("menuitem", name=say("head_menu.mute"), exact=True)).to_have_count(0)
    choose(page, "undo")
    assert "edits" not in page.url


def test_a_head_takes_the_pattern_of_another_sentence(page: Page) -> None:
    page.mouse.click(*tile_at(page, 1, 2), button="right")
    menu(page).get_by_label(say("head_menu.copy_label")).fill("The blue car stopped.")
    choose(page, "copy")
    assert "patched" in page.url
    assert page.locator(".tile-changed").get_attribute("d")


def test_a_word_and_a_cell_are_forbidden_where_they_stand(page: Page) -> None:
    page.locator(".st-key-output [data-place='2']").click(button="right")
    choose(page, "forbid")
    assert "blocked%3Adecoder" in page.url
    page.mouse.click(*row_at(page, 3), button="right")
    query = page.locator(".st-key-output [data-place='3']").inner_text().strip()
    choose(page, "forbid_one", query=query)
    assert "blocked%3Across.3." in page.url


def test_special_tokens_are_hidden_and_shown_where_one_stands(page: Page) -> None:
    def rows() -> list[str]:
        return page.locator(".st-key-heatmap .ytick text").all_text_contents()

    special = page.locator(".st-key-output [data-place='0']")
    assert special.inner_text().strip() in rows()
    special.click(button="right")
    menu(page).get_by_role("menuitem", name=say("heads.hide"), exact=True).click()
    settle(page)
    assert special.inner_text().strip() not in rows()
    page.locator(".st-key-output [data-place='1']").click(button="right")  # at every token, not only at special ones
    choose(page, "show")
    assert special.inner_text().strip() in rows()


def test_the_menu_is_opened_walked_and_closed_by_key(page: Page) -> None:
    page.keyboard.press("Shift+F10")
    expect(menu(page)).to_have_attribute("aria-label", say("head_menu.head", layer=0, head=3))
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.textContent") == say("head_menu.double")
    page.keyboard.press("Escape")
    expect(menu(page)).to_have_count(0)
    page.locator(".st-key-output [data-place='1']").focus()
    page.keyboard.press("ContextMenu")
    expect(menu(page).get_by_role("menuitem").first).to_have_text(say("head_menu.forbid"))


def test_a_long_press_opens_the_menu_and_no_head(browser: Browser, address: str) -> None:
    phone: dict[str, Any] = {"viewport": PHONE, "has_touch": True, "is_mobile": True}
    with visit(browser, address, **phone) as visited:
        page = visited.page
        touch = page.context.new_cdp_session(page)
        x, y = tile_at(page, 1, 6)
        touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
        expect(menu(page)).to_have_attribute("aria-label", say("head_menu.head", layer=1, head=6))
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        settle(page)
        expect(menu(page)).to_be_visible()  # the finger that leaves closes nothing
        assert page.evaluate("document.querySelector('.chosen-head').dataset.head") == "3"
