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


def test_findings_come_into_sight_and_are_cards_on_a_phone(browser: Browser, address: str) -> None:
    with visit(browser, address, "lab", shows=".st-key-lab_go button, .st-key-lab_ranked .main-svg") as visited:
        page = visited.page
        if page.locator(".st-key-lab_go button").count():  # not where an earlier visit has measured the same
            page.locator(".st-key-lab_go button").click()
        page.locator(".st-key-lab_ranked .main-svg").first.wait_for(timeout=180_000)
        settle(page)
        page.locator(".st-key-lab_check button").click()
        table = page.locator(".st-key-lab_table table")
        table.wait_for(timeout=240_000)
        settle(page)
        page.wait_for_function(  # it moves there
            """() => {
              const { top } = document.querySelector(".st-key-lab_findings").getBoundingClientRect()
              return 0 < top && top <= innerHeight / 2
            }"""
        )
        assert table.locator("td").first.evaluate("one => getComputedStyle(one).display") == "table-cell"
        page.set_viewport_size({"width": 390, "height": 844})
        cell = table.locator("td").nth(1)
        assert cell.evaluate("one => getComputedStyle(one).display") == "block"
        assert cell.bounding_box()["width"] > 300  # type: ignore[index]


def test_in_projector_mode_the_number_of_sentences_leaves_room_for_the_button(browser: Browser, address: str) -> None:
    # Another number of sentences than other tests measure: then there would be no button.
    with visit(browser, address, "lab?projector=true&lab_count=50", shows=".st-key-lab_go button") as visited:
        count = visited.page.locator(".st-key-lab_count > div").first.bounding_box()
        button = visited.page.locator(".st-key-lab_go button").bounding_box()
        assert count is not None
        assert button is not None
        assert count["x"] + count["width"] <= button["x"] or count["y"] + count["height"] <= button["y"]
