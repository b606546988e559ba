"""Maps, bars, lines and dots of every page glide to what is drawn next; not with reduced motion or for other labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from playwright.sync_api import Browser, Page, TimeoutError

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


# Whether all of these have glided, as {"before": "map"}.
ALL = "expected => Object.entries(expected).every(([key, what]) => window.glided[key]?.includes(what))"
TRIES = (
    4  # what stood in a figure before is known only once it stands: on a busy machine the first act may come too early
)


def wait_until_glided(page: Page, act: Callable[[], None], expected: Mapping[str, str]) -> None:
    """Act, and again where nothing has come of it, until all that is expected has glided. expected: as of `FIGURES`"""
    page.evaluate(WATCH)
    for _ in range(TRIES):
        act()
        try:
            page.wait_for_function(ALL, arg=expected, timeout=20_000)
        except TimeoutError:
            continue
        return
    pytest.fail(f"{page.evaluate('window.glided')} glided, not {expected}")


def step(page: Page, key: str) -> None:
    """Click a button, or move a slider by a step. key: of the widget"""
    if (slider := page.locator(f".st-key-{key} input[type=range]")).count():
        slider.focus()
        page.keyboard.press("ArrowLeft")
    else:
        page.locator(f".st-key-{key} button").first.click()
    settle(page)


def opened(page: Page, title: str) -> None:
    """Open a page, and wait for the figures that are to glide."""
    go(page, "Compare" if title == "Compare" else "See", title)
    for key in FIGURES[title][1]:
        page.locator(f".st-key-{key} .main-svg").first.wait_for()


def wait_until_drawn_anew(page: Page, act: Callable[[], None], selector: str, attribute: str) -> None:
    """Watch, act, and wait until an element is drawn otherwise than before. selector: of what glides where it may"""
    drawn = f"document.querySelector({selector!r})?.getAttribute({attribute!r})"
    page.wait_for_function(drawn)
    before = page.evaluate(drawn)
    page.evaluate(WATCH)
    act()
    page.wait_for_function(f"before => ![before, null, undefined].includes({drawn})", arg=before)


@pytest.mark.parametrize("title", FIGURES)
def test_figures_of_every_page_glide(page: Page, title: str) -> None:
    opened(page, title)
    act, expected = FIGURES[title]
    wait_until_glided(page, lambda: step(page, act), expected)


def test_a_picture_that_fades_is_none_of_plotlys(page: Page) -> None:
    """Plotly fails at a picture in its layers that it did not draw, when it draws them anew meanwhile."""
    found = page.wait_for_function(
        """async () => {
          const plot = document.querySelector(".st-key-mosaic .js-plotly-plot")
          const image = plot?.querySelector(".imagelayer image")
          const other = document.querySelector(".st-key-heatmap .hm image")?.getAttribute("href")
          if (!image || !other) return null
          window.was ??= image.getAttribute("href")
          image.setAttribute("href", image.getAttribute("href") === other ? window.was : other)
          await Promise.resolve().then(() => 0)  // mutations are told first
          const [all, among] = [".fading", ".imagelayer .fading"].map(one => plot.querySelectorAll(one).length)
          return all ? [all, among] : null  // none before what stood there is known
        }""",
        polling=1_000,
    )
    assert found.json_value() == [1, 0]


def test_the_map_glides_to_the_head_that_is_pointed_at(page: Page) -> None:
    def point() -> None:
        page.mouse.move(*tile_at(page, 0, 0))
        page.mouse.move(*tile_at(page, 1, 5))

    wait_until_glided(page, point, {"heatmap": "map"})


def test_nothing_glides_where_reduced_motion_is_asked_for(browser: Browser, address: str) -> None:
    with visit(browser, address, reduced_motion="reduce") as visited:
        page = visited.page
        opened(page, "Output")
        bar = ".st-key-looks .barlayer .point > path"
        wait_until_drawn_anew(page, lambda: step(page, "head_next"), bar, "d")
        assert page.evaluate("window.glided") == {}


def test_a_figure_of_other_words_does_not_glide(page: Page) -> None:
    words = "We see a blue house."
    wait_until_drawn_anew(page, lambda: type_sentence(page, words), ".st-key-heatmap .hm image", "href")
    assert not {"heatmap", "lines"} & set(page.evaluate("window.glided"))
