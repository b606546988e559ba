"""The picture of the whole model in Chromium: pointing, playing, opening a layer, going to a box's page."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.browser.driving import go, needs_chromium
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
