"""Tiles and arrow keys: heading, reading, lines and map are of one head; what is shown before the server is asked."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.driving import (
    DESKTOP,
    PHONE,
    Visit,
    assert_agrees,
    click_at,
    needs_chromium,
    open_at,
    shown,
    tile_at,
    visit,
)
from tests.serving import settle

pytestmark = needs_chromium
# The weights that the browser's own picture of a map shows, from its colours: null where masked. [row, column]
PREVIEW = """async () => {
  const sent = globalThis.headlightHeads
  const bytes = new Uint8Array(sent.buffer ?? sent, sent.byteOffset ?? 0, sent.byteLength)
  const start = 4 + new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true)
  const body = new Blob([bytes.subarray(start)]).stream().pipeThrough(new DecompressionStream("deflate"))
  const colours = new Uint32Array((await new Response(body).arrayBuffer()).slice(0, 1024))
  const steps = new Map(Array.from(colours, (colour, i) => [colour, i]))
  const image = Object.assign(new Image(), { src: document.querySelector(".st-key-heatmap .hm image").href.baseVal })
  await image.decode()
  const { width, height } = image
  const pen = Object.assign(document.createElement("canvas"), { width, height }).getContext("2d")
  pen.drawImage(image, 0, 0)
  const pixels = new Uint32Array(pen.getImageData(0, 0, width, height).data.buffer)
  return Array.from({ length: height }, (_, row) => Array.from({ length: width }, (_, column) => {
    const step = steps.get(pixels[row * width + column])
    return step === 255 ? null : step / 254
  }))
}"""
# Whether anything in the figures moves, from now on: fades that scripts begin, and transitions in any frame.
WATCH = """() => {
  window.moves = 0
  const begin = Element.prototype.animate
  Element.prototype.animate = function (...how) { window.moves++; return begin.apply(this, how) }
  const look = () => {
    window.moves += document.getAnimations().filter(one =>
      one.effect.target?.closest(".st-key-heatmap, .st-key-lines, .st-key-mosaic, .st-key-reading")
      && !one.effect.target.closest("[data-stale], .modebar, .modebar-container")).length
    requestAnimationFrame(look)
  }
  look()
}"""


def heading(page: Page, layer: int, head: int) -> None:
    """Wait for the heading to name a head."""
    expect(page.locator(".st-key-head_title h2")).to_contain_text(f"Layer {layer}, head {head}")


def test_a_click_on_a_tile_opens_that_head_also_a_second_time(page: Page) -> None:
    for layer, head in ((0, 1), (2, 6), (0, 1), (0, 1)):
        click_at(page, tile_at(page, layer, head))
        assert_agrees(page, layer, head)
        page.mouse.move(640, 4)


def test_what_lies_over_the_map_goes_as_soon_as_the_servers_own_is_there(page: Page) -> None:
    """Streamlit puts a new figure in the place of the one before, which only a timer noticed, a moment later."""
    page.evaluate("""() => {
      window.timers = setTimeout
      window.setTimeout = (does, wait, ...more) => wait === 80 ? 0 : timers(does, wait, ...more)
      window.painted = []
      new MutationObserver(() => window.painted.push(document.body.hasAttribute("data-painted")))
        .observe(document.body, { attributes: true, attributeFilter: ["data-painted"] })
    }""")
    click_at(page, tile_at(page, 1, 5))
    page.wait_for_function("window.painted[0] && window.painted.at(-1) === false")
    page.evaluate("window.setTimeout = timers")
    page.mouse.move(640, 4)
    settle(page)
    assert_agrees(page, 1, 5)


def test_arrow_keys_change_head_and_layer_and_go_round(page: Page) -> None:
    steps = [("Right", 0, 4), ("Down", 1, 4), ("Left", 1, 3), ("Up", 0, 3), ("Up", 2, 3)]
    before = shown(page)["weights"]
    for key, layer, head in steps:
        page.keyboard.press(f"Arrow{key}")
        settle(page)
        found = assert_agrees(page, layer, head)
        assert found["weights"] != before
        before = found["weights"]
    assert "layer=2" in page.url


def test_the_first_key_after_loading_is_not_lost(visited: Visit, address: str) -> None:
    page = visited.page
    page.goto(f"{address}/heads")
    page.locator(".st-key-head_title h2").wait_for()
    page.wait_for_function("document.querySelector('.st-key-mosaic .tile-box')")
    page.keyboard.press("ArrowRight")  # at once: the page may still be drawn
    settle(page)
    assert_agrees(page, 0, 4)


def test_the_chosen_tile_keeps_its_box_while_another_is_pointed_at(page: Page) -> None:
    page.mouse.move(*tile_at(page, 2, 5))
    heading(page, 2, 5)
    box = page.locator(".st-key-mosaic .tile-served").bounding_box()
    assert box
    x, y = tile_at(page, 0, 3)
    assert (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2) == pytest.approx((x, y), abs=3)
    page.mouse.move(640, 4)
    heading(page, 0, 3)
    assert not page.locator(".st-key-mosaic .tile-served").get_attribute("d")


def test_arrow_keys_in_the_box_move_its_cursor_only(page: Page) -> None:
    page.locator(".st-key-sentence textarea").focus()
    for key in ("Right", "Down", "Left", "Up"):
        page.keyboard.press(f"Arrow{key}")
    settle(page)
    assert_agrees(page, 0, 3)


def test_a_head_that_is_not_the_maps_would_be_found(page: Page) -> None:
    """The measure itself."""
    assert_agrees(page, 0, 3)
    for part, text in ((".st-key-head_title h2", "Layer 0, head 4"), (".st-key-reading p", "looks at The 13%.")):
        before = page.locator(part).first.inner_html()
        page.evaluate("([part, text]) => { document.querySelector(part).innerText = text }", [part, text])
        with pytest.raises(AssertionError):
            assert_agrees(page, 0, 3)
        page.evaluate("([part, html]) => { document.querySelector(part).innerHTML = html }", [part, before])
    assert_agrees(page, 0, 3)


@pytest.mark.parametrize("place", [(0, 5), (2, 5)])  # from the layer's own numbers, and from the tiles
def test_a_tile_under_the_pointer_shows_its_head_before_the_server_is_asked(
    visited: Visit, place: tuple[int, int]
) -> None:
    page, sent = visited.page, len(visited.sent)
    image = page.locator(".st-key-heatmap .hm image:not(.fading)")
    server = image.get_attribute("href") or ""
    page.mouse.move(*tile_at(page, *place))
    heading(page, *place)
    expect(image).not_to_have_attribute("href", server)
    expect(page.locator(".st-key-reading")).to_contain_text(f"In layer {place[0]}, head {place[1]},")
    preview = page.evaluate(PREVIEW)
    page.mouse.move(640, 4)
    heading(page, 0, 3)
    expect(image).to_have_attribute("href", server)
    assert len(visited.sent) == sent
    click_at(page, tile_at(page, *place))
    weights = assert_agrees(page, *place)["weights"]
    assert len(preview) == len(weights)
    for mine, theirs in zip(preview, weights, strict=True):
        assert [one is None for one in mine] == [one is None for one in theirs]
        assert [one or 0 for one in mine] == pytest.approx([one or 0 for one in theirs], abs=1 / 254)


def test_the_preview_of_a_masked_map_has_its_blank_cells(visited: Visit, address: str) -> None:
    page = visited.page
    page.locator(".st-key-kind").get_by_role("radio", name="decoder").click()
    settle(page)
    now = shown(page)
    other = (now["head"] + 2) % 8
    image = page.locator(".st-key-heatmap .hm image:not(.fading)")
    server = image.get_attribute("href") or ""
    page.mouse.move(*tile_at(page, now["layer"], other))
    heading(page, now["layer"], other)
    expect(image).not_to_have_attribute("href", server)
    preview = page.evaluate(PREVIEW)
    blank = [[one is None for one in row] for row in preview]
    assert blank == [[column > row for column in range(len(preview))] for row in range(len(preview))]


def moves(page: Page) -> int:
    """How much moved while the pointer went over three tiles, and one was opened."""
    page.evaluate(WATCH)
    for head in (1, 5, 6):
        page.mouse.move(*tile_at(page, 1, head))
        page.wait_for_timeout(200)
    click_at(page, tile_at(page, 1, 6))
    found: int = page.evaluate("window.moves")
    return found


def test_maps_glide_unless_reduced_motion_is_asked_for(page: Page, browser: Browser, address: str) -> None:
    assert moves(page) > 0
    with visit(browser, address, reduced_motion="reduce") as visited:
        assert moves(visited.page) == 0
        assert_agrees(visited.page, 1, 6)


def test_one_tap_on_a_phone_opens_a_head_and_brings_it_into_view(browser: Browser, address: str) -> None:
    phone: dict[str, Any] = {"viewport": PHONE, "has_touch": True, "is_mobile": True}
    with visit(browser, address, **phone) as visited:
        page = visited.page
        page.touchscreen.tap(*tile_at(page, 1, 6))
        settle(page)
        assert_agrees(page, 1, 6)
        bar = page.locator(".st-key-bar").bounding_box()
        title = page.locator(".st-key-head_title h2").bounding_box()
        heatmap = page.locator(".st-key-heatmap .hm image").bounding_box()
        assert bar
        assert title
        assert heatmap
        assert title["y"] >= bar["y"] + bar["height"] - 1  # not under the bar
        assert title["y"] + title["height"] <= PHONE["height"]
        assert heatmap["y"] + heatmap["height"] <= PHONE["height"]


FADING = """() => new Promise(resolve => {
  const start = performance.now()
  let most = 0
  document.querySelector(".st-key-head_right button").click()
  const look = () => {
    const fading = document.getAnimations().filter(one => one.effect.target?.matches("[data-stale=true]"))
    most = Math.max(most, fading.length)
    if (performance.now() - start < 300) requestAnimationFrame(look)
    else resolve(most)
  }
  look()
})"""


def test_nothing_begins_to_fade_while_an_answer_is_near(page: Page) -> None:
    assert page.evaluate(FADING) == 0
    expect(page.locator("body")).not_to_have_attribute("data-answering", "")  # slow answers may fade it


def test_a_pointer_that_is_there_before_the_picture_of_all_heads_is_read_shows_its_head(
    browser: Browser, address: str
) -> None:
    with visit(browser, address, kept=False) as visited:
        page = visited.page
        page.add_init_script(
            """const read = Image.prototype.decode
            Image.prototype.decode = function () {
              const wait = then => window.mayRead ? then(read.call(this)) : setTimeout(wait, 20, then)
              return new Promise(wait)
            }"""
        )
        open_at(page, page.url)
        page.mouse.move(*tile_at(page, 2, 5))
        heading(page, 0, 3)
        page.evaluate("window.mayRead = true")
        heading(page, 2, 5)


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_labels_of_a_long_sentence_do_not_lie_on_each_other(
    address: str, browser: Browser, size: dict[str, int]
) -> None:
    text = "+".join(["the cat saw the dog and the dog saw the red cat"] * 3).replace(" ", "+")
    with visit(browser, address, f"heads?kind=encoder&text={text}", viewport=size) as visited:
        for axis in "xy":
            apart, letters, hidden = visited.page.evaluate(
                """axis => {
                  const labels = [...document.querySelectorAll(`.st-key-heatmap .${axis}tick > text`)]
                  const shown = labels.filter(one => getComputedStyle(one).display !== "none")
                  const middle = box => axis === "x" ? (box.left + box.right) / 2 : (box.top + box.bottom) / 2
                  const places = shown.map(one => middle(one.getBoundingClientRect())).sort((one, two) => one - two)
                  const apart = Math.min(...places.slice(1).map((place, i) => place - places[i]))
                  return [apart, parseFloat(shown[0].style.fontSize), labels.length - shown.length]
                }""",
                axis,
            )
            assert apart >= 0.85 * letters
            assert hidden or axis == "y" or size == DESKTOP


def test_titles_and_colour_bars_of_narrow_maps_are_whole_in_projector_mode(address: str, browser: Browser) -> None:
    with visit(browser, address, "compare?projector=1", shows=".st-key-bars .main-svg", viewport=DESKTOP) as visited:
        beyond, ends = visited.page.evaluate("""() => {
          const titles = [...document.querySelectorAll("text.xtitle")].filter(one => one.textContent.startsWith("key"))
          const edge = one => one.closest(".main-svg").getBoundingClientRect().right
          const bar = one => one.closest(".js-plotly-plot").querySelector("g[class^=cb]").textContent
          return [titles.map(one => one.getBoundingClientRect().right - edge(one)), titles.map(bar)]
        }""")
        assert len(beyond) == 3
        assert max(beyond) <= 1
        assert all("100%" in one or "95%" in one for one in ends), ends
