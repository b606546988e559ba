"""Lab in Chromium: sentences are measured, all is in sight, a tile is chosen, a sentence opens in Heads."""

from __future__ import annotations

from playwright.sync_api import Browser, Page, expect

from tests.browser.driving import needs_chromium, out_of_sight, visit
from tests.serving import settle

pytestmark = needs_chromium
FIGURES = ("lab_heads", "lab_points", "lab_ranked")


def centre_of(page: Page, layer: int, head: int) -> tuple[float, float]:
    """The middle of a head's tile, in the window."""
    found = page.evaluate(
        """([layer, head]) => {
          const gd = document.querySelector('.st-key-lab_heads .js-plotly-plot'), box = gd.getBoundingClientRect()
          const { xaxis, yaxis } = gd._fullLayout
          return [box.left + xaxis._offset + xaxis.l2p(head), box.top + yaxis._offset + yaxis.l2p(layer)]
        }""",
        [layer, head],
    )
    return found[0], found[1]


def test_twenty_sentences_a_tile_and_a_sentence_in_heads(browser: Browser, address: str) -> None:
    with visit(browser, address, "lab", shows=".st-key-lab_go button") as visited:
        page = visited.page
        page.locator(".st-key-lab_go button").click()
        for key in FIGURES:
            page.locator(f".st-key-{key} .main-svg").first.wait_for(timeout=180_000)
        settle(page)
        assert "Lab" in page.title()
        assert not out_of_sight(page, ("sentence", *FIGURES, "lab_highest", "lab_lowest"))
        page.mouse.click(*centre_of(page, 2, 7))
        expect(page.get_by_text("Layer 2, head 7:")).to_be_visible()
        settle(page)
        assert "layer=2" in page.url
        button = page.locator(".st-key-lab_highest button").first
        sentence = button.inner_text().partition(": ")[2].strip()
        button.click()
        page.locator(".st-key-heatmap .main-svg").first.wait_for()
        expect(page.locator(".st-key-sentence textarea")).to_have_value(sentence)
        expect(page.get_by_role("heading", name="Layer 2, head 7")).to_be_visible()
