"""The picture of the whole model in Chromium: pointing, playing, opening a layer, going to a box's page."""

from __future__ import annotations

import re

from playwright.sync_api import Browser, Page, expect

from tests.browser.driving import PHONE, go, needs_chromium, tile_at, visit
from tests.serving import settle
from viz.language.messages import say

pytestmark = needs_chromium

PLACE = """name => {
  const gd = document.querySelector(".st-key-whole .js-plotly-plot"), edge = gd.getBoundingClientRect()
  const box = gd.layout.meta.boxes.find(one => one.name === name), { xaxis, yaxis } = gd._fullLayout
  const middle = (axis, [from, to]) => axis._offset + axis.l2p((from + to) / 2)
  return [edge.left + middle(xaxis, box.x), edge.top + middle(yaxis, box.y)]
}"""

HAS = """name => {
  const found = document.querySelector(".st-key-whole .js-plotly-plot")?.layout.meta.boxes
  return found?.some(one => one.name === name)
}"""


def test_whole_model_answers_to_pointer_keys_and_clicks(page: Page) -> None:
    page.set_viewport_size({"width": 1280, "height": 800})
    go(page, "See", say("whole.title"))
    page.locator(".st-key-whole .js-plotly-plot .main-svg").first.wait_for(timeout=90_000)
    page.wait_for_selector(".whole-play button")
    panel = page.locator(".whole-panel")

    page.mouse.move(*page.evaluate(PLACE, "decoder.1.1"))
    expect(panel.locator("h3")).to_have_text("encoder-decoder attention")
    expect(panel.locator(".stream")).to_contain_text(
        re.compile(r"length \d+(\.\d)?,")
    )  # of the token under the pointer

    page.mouse.move(5, 300)
    page.locator(".whole-play button").nth(1).click()
    expect(panel.locator("h3")).to_have_text("tokens → vectors")
    page.keyboard.press("ArrowRight")
    expect(panel.locator("h3")).to_have_text("+ positions")
    expect(page.locator(".whole-play button").nth(1)).to_contain_text("Play")  # a step by hand stops it

    page.mouse.click(*page.evaluate(PLACE, "encoder.2"))
    page.wait_for_function(HAS, arg="encoder.2.0")
    page.mouse.click(*page.evaluate(PLACE, "decoder.1.1"))
    page.wait_for_selector(".st-key-heatmap .js-plotly-plot")
    expect(page.get_by_role("heading", name="Layer 1, head 0")).to_be_visible()

    page.go_back()
    page.wait_for_function(HAS, arg="decoder.1.0")
    page.mouse.move(*page.evaluate(PLACE, "decoder.1.0"))
    panel.get_by_role("button", name=say("masks.title")).click()
    expect(page.locator(".st-key-here").get_by_role("link")).to_contain_text(say("whole.masked"))
    expect(page).to_have_url(re.compile("/masks.*layer=1"))


SIZES = """() => {
  const { scrollWidth, clientWidth } = document.querySelector("[data-testid=stMain]")
  const gd = document.querySelector(".st-key-whole .js-plotly-plot"), room = gd.closest(".st-key-whole")
  const axes = gd._fullLayout, top = Math.min(...gd.layout.meta.boxes.map(box => axes.yaxis.l2p(box.y[0])))
  return [scrollWidth - clientWidth, room.scrollWidth - room.clientWidth, top, axes.xaxis.range[1]]
}"""
NARROW = "() => document.querySelector('.st-key-whole .js-plotly-plot')?._fullLayout?.xaxis.range[1] < 500"
WIDE = NARROW.replace("< 500", "> 500")


def test_on_a_phone_one_tap_shows_a_box_and_the_next_opens_it(browser: Browser, address: str) -> None:
    with visit(browser, address, "", viewport=PHONE, has_touch=True, is_mobile=True) as visited:
        page = visited.page
        page.wait_for_function(NARROW)
        beyond, inside, top, _ = page.evaluate(SIZES)
        assert beyond <= 0  # nothing scrolls sideways
        assert inside <= 0
        assert top < 30  # no room is empty over the first box
        panel = page.locator(".whole-panel")
        expect(panel).to_be_hidden()
        page.touchscreen.tap(*page.evaluate(PLACE, "decoder.1.1"))
        expect(panel.locator("h3")).to_have_text("encoder-decoder attention")
        box = panel.bounding_box()
        assert box
        assert box["y"] + box["height"] <= PHONE["height"] + 1
        assert page.evaluate(PLACE, "decoder.1.1")[1] < box["y"]  # the box is not hidden by what is said of it
        page.locator(".whole-play button").nth(2).tap()
        expect(panel.locator("h3")).to_contain_text("feed-forward")
        page.evaluate("document.querySelector('[data-testid=stMain]').scrollTop = 500")
        page.touchscreen.tap(*page.evaluate(PLACE, "encoder.2"))  # a folded layer opens at once
        page.wait_for_function(HAS, arg="encoder.2.0")
        expect(panel.locator("h3")).to_have_text("self-attention")  # the first box of what has opened
        panel.get_by_role("button", name=say("whole.goto")).tap()
        expect(page.get_by_role("heading", name="Layer 2, head 0")).to_be_visible(timeout=30_000)


def test_the_picture_follows_the_window(page: Page) -> None:
    go(page, "See", say("whole.title"))
    page.wait_for_function(WIDE)
    page.set_viewport_size({"width": 700, "height": 800})
    page.wait_for_function(NARROW)
    page.set_viewport_size({"width": 1280, "height": 800})
    page.wait_for_function(WIDE)
    settle(page)
    assert page.evaluate(SIZES)[0] <= 0


def test_a_box_is_left_out_by_its_menu_by_key_and_in_the_panel(browser: Browser, address: str) -> None:
    with visit(browser, address, "") as visited:
        page = visited.page
        menu, panel = page.locator("#change-menu"), page.locator(".whole-panel")
        page.mouse.click(*page.evaluate(PLACE, "decoder.1.1"), button="right")
        expect(menu).to_have_attribute("aria-label", say("whole.cross_attention"))
        menu.get_by_role("menuitem", name=say("head_menu.leave_out")).click()
        expect(page.locator(".st-key-output .before")).to_be_in_viewport()  # before → after
        assert "blocks%3Adecoder.1.cross_attention" in page.url
        settle(page)
        page.mouse.move(*page.evaluate(PLACE, "decoder.1.1"))
        expect(panel).to_contain_text(say("whole.say_left_out"))
        panel.get_by_role("button", name=say("head_menu.put_back")).click()
        page.wait_for_function("!location.href.includes('blocks')")
        settle(page)
        panel.get_by_role("button", name=say("head_menu.leave_out_part", part=say("head_menu.part_norm"))).click()
        page.wait_for_function("location.href.includes('blocks%3Adecoder.1.cross_attention_norm')")
        settle(page)
        page.mouse.click(*page.evaluate(PLACE, "decoder.1.1"), button="right")
        back = say("head_menu.put_back_part", part=say("head_menu.part_norm"))
        menu.get_by_role("menuitem", name=back).click()
        page.wait_for_function("!location.href.includes('blocks')")
        settle(page)
        page.mouse.click(*page.evaluate(PLACE, "decoder.1.0"), button="right")
        menu.get_by_role("menuitem", name=say("head_menu.lift_mask")).click()
        page.wait_for_function("location.href.includes('masks%3Adecoder.1%3Dfull')")
        settle(page)
        page.mouse.click(*page.evaluate(PLACE, "decoder.1.0"), button="right")
        menu.get_by_role("menuitem", name=say("head_menu.mask_back")).click()
        page.wait_for_function("!location.href.includes('masks')")
        settle(page)
        page.mouse.move(5, 300)
        page.locator("h1, h2").first.click()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Shift+F10")
        menu.get_by_role("menuitem").first.press("Enter")
        page.wait_for_function("location.href.includes('blocks%3Adecoder.1.cross_attention')")
        settle(page)
        page.mouse.click(*page.evaluate(PLACE, "encoder.positions"), button="right")
        menu.get_by_role("menuitem", name=say("head_menu.positions_off")).click()
        page.wait_for_function("location.href.includes('positions%3Doff')")


def test_a_page_says_where_in_the_model_it_is_and_leads_back_to_what_was_left(browser: Browser, address: str) -> None:
    with visit(browser, address, "?text=We+see+a+blue+house.&step=2") as visited:
        page = visited.page
        page.mouse.click(*page.evaluate(PLACE, "encoder.2"))
        page.wait_for_function(HAS, arg="encoder.2.0")
        settle(page)

        def opened_box() -> None:
            page.mouse.click(*page.evaluate(PLACE, "decoder.1.1"))
            page.locator(".st-key-heatmap .main-svg").first.wait_for()
            settle(page)

        def is_as_left() -> None:
            page.wait_for_function(HAS, arg="encoder.2.0")
            settle(page)
            expect(page.locator(".st-key-sentence textarea")).to_have_value("We see a blue house.")
            expect(page.locator(".st-key-step input")).to_have_value("2")
            expect(page).to_have_url(re.compile("open_encoder=2"))

        opened_box()
        here = page.locator(".st-key-here")
        words = (say("whole.title"), say("kinds.decoder"), say("whole.cross_attention"))
        expect(here.get_by_role("link")).to_have_text(" › ".join(words))
        lit = page.locator(".here [data-here]")
        expect(lit).to_have_attribute("data-layer", "1")
        page.mouse.move(*tile_at(page, 2, 5))  # the strip follows the head that is shown, without the server
        expect(lit).to_have_attribute("data-layer", "2")
        box = here.bounding_box()
        assert box
        assert box["height"] < 40  # one line
        here.get_by_role("link").click()
        is_as_left()
        opened_box()
        page.go_back()
        is_as_left()
