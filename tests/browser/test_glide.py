"""Maps, bars, lines and dots of every page glide to what is drawn next; not with reduced motion or for other labels."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.driving import go, needs_chromium, tile_at, type_sentence, visit
from tests.serving import settle

pytestmark = needs_chromium
# Key of a figure and what glided in it, from now on: {"before": ["map"]}. Bars must end where they are drawn.
WATCH = """() => {
  window.glided = {}
  const begin = Element.prototype.animate
  Element.prototype.animate = function (frames, ...how) {
    const key = this.closest(".js-plotly-plot")?.closest("[class*='st-key-']")?.className.match(/st-key-(\\S+)/)?.[1]
    const what = this.matches("image") ? "map"
      : this.closest(".barlayer") ? "bar" : this.closest(".points") ? "dot"
      : this.closest(".scatterlayer") && frames[0].d ? "line" : ""
    const moves = frames[0].d ? frames[0].d !== frames[1].d && frames[1].d.includes(this.getAttribute("d")) : true
    if (key && what && moves) (window.glided[key] ??= []).push(what)
    return begin.apply(this, [frames, ...how])
  }
}"""
# Page -> button or slider, and figures that it changes.
FIGURES = {
    "Inside a head": ("head_next", {"vectors": "map"}),
    "Masks": ("head_next", {"before": "map", "after": "map"}),
    "Output": ("head_next", {"looks": "bar", "alignment_map": "map"}),
    "Compare": ("ab_keys", {"map_a": "map", "map_difference": "map"}),
    "Layers": ("depth_play", {"activations": "map"}),
    "Positions": ("pe_base", {"pe_table": "map", "waves": "line", "pe_similarity": "line", "circle": "dot"}),
}


def glided(page: Page, act: str) -> dict[str, list[str]]:
    """What glides after a click on a button, or a step of a slider. act: its key"""
    page.evaluate(WATCH)
    if (slider := page.locator(f".st-key-{act} input[type=range]")).count():
        slider.focus()
        page.keyboard.press("ArrowLeft")
    else:
        page.locator(f".st-key-{act} button").first.click()
    settle(page)
    page.wait_for_timeout(500)
    found: dict[str, list[str]] = page.evaluate("window.glided")
    return found


def opened(page: Page, title: str) -> None:
    go(page, "Compare" if title == "Compare" else "See", title)
    page.wait_for_timeout(1_000)  # until the figures stand


@pytest.mark.parametrize("title", FIGURES)
def test_figures_of_every_page_glide(page: Page, title: str) -> None:
    opened(page, title)
    act, expected = FIGURES[title]
    found = glided(page, act)
    for key, what in expected.items():
        assert what in found.get(key, []), found


def test_a_picture_that_fades_is_none_of_plotlys(page: Page) -> None:
    """Plotly fails at a picture in its layers that it did not draw, when it draws them anew meanwhile."""
    found = page.evaluate(
        """async () => {
          const plot = document.querySelector(".st-key-mosaic .js-plotly-plot")
          const image = plot.querySelector(".imagelayer image")
          image.setAttribute("href", document.querySelector(".st-key-heatmap .hm image").getAttribute("href"))
          await Promise.resolve().then(() => 0)  // mutations are told first
          return [".fading", ".imagelayer .fading"].map(one => plot.querySelectorAll(one).length)
        }"""
    )
    assert found == [1, 0]


def test_the_map_glides_to_the_head_that_is_pointed_at(page: Page) -> None:
    page.evaluate(WATCH)
    page.mouse.move(*tile_at(page, 1, 5))
    page.wait_for_timeout(500)
    assert "map" in page.evaluate("window.glided").get("heatmap", [])


def test_nothing_glides_where_reduced_motion_is_asked_for(browser: Browser, address: str) -> None:
    with visit(browser, address, reduced_motion="reduce") as visited:
        opened(visited.page, "Output")
        assert glided(visited.page, "head_next") == {}


def test_a_figure_of_other_words_does_not_glide(page: Page) -> None:
    page.evaluate(WATCH)
    type_sentence(page, "We see a blue house.")
    page.wait_for_timeout(500)
    assert not {"heatmap", "lines"} & set(page.evaluate("window.glided"))
