"""The running app in Chromium: typing, clicking, links, downloads, lessons, keys, accessibility; no console errors."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from axe_playwright_python.base import AXE_FILE_PATH
from playwright.sync_api import Browser, Locator, Page, expect

from tests.app.test_pages import PAGES
from tests.serving import CHROMIUM, chromium, serve, settle
from viz.language.messages import say

pytestmark = pytest.mark.skipif(
    CHROMIUM is None and "CI" not in os.environ, reason="Chromium is missing: install Debian's package chromium"
)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with serve() as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(address: str, browser: Browser) -> Iterator[Page]:
    """A fresh browser page on the app's first page; fails on any error in the console."""
    errors: list[str] = []
    with browser.new_context(viewport={"width": 1280, "height": 800}) as context:
        page = context.new_page()
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda r: None if r.url.startswith((address, "data:", "blob:")) else errors.append(r.url))
        page.goto(address)
        page.locator(".st-key-heatmap .main-svg").first.wait_for(timeout=60_000)
        settle(page)
        yield page
    assert not errors


def picture(page: Page, key: str) -> str:
    return page.locator(f".st-key-{key} .main-svg").first.evaluate("e => e.outerHTML")


def type_sentence(page: Page, sentence: str) -> None:
    box = page.get_by_role("textbox", name="Your sentence")
    box.fill(sentence)
    box.press("Control+Enter")
    settle(page)


def test_typing_a_sentence_changes_the_maps(page: Page) -> None:
    before = picture(page, "heatmap")
    type_sentence(page, "She sees the sea and the sun.")
    expect(page.locator("[data-testid=stMain]")).to_contain_text("She sees the sea and the sun.")
    settle(page)  # on a busy machine the run may not have started at the first check
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
    page.get_by_role("link", name="Masks").click()
    expect(page.locator("h1")).to_have_text("Masks")
    settle(page)
    page.locator(".st-key-layer button").nth(1).click()
    settle(page)
    page.go_back()
    expect(page.locator("h1")).to_have_text("Heads")
    settle(page)
    assert "layer=1" in page.url
    expect(page.get_by_role("textbox", name="Your sentence")).to_have_value("I see a tree.")
    page.go_forward()
    expect(page.locator("h1")).to_have_text("Masks")
    settle(page)


def test_clicking_a_thumbnail_opens_that_head(page: Page) -> None:
    for layer, head in ((0, 1), (2, 6), (1, 3)):
        area = page.locator(".st-key-mosaic .nsewdrag").first
        area.scroll_into_view_if_needed()
        box = area.bounding_box()
        assert box
        page.mouse.move(box["x"] + box["width"] * (head + 0.5) / 8, box["y"] + box["height"] * (layer + 0.5) / 3)
        page.wait_for_timeout(300)
        page.mouse.down()
        page.mouse.up()
        settle(page)
        expect(page.locator("h2").first).to_have_text(f"Layer {layer}, head {head}")
        assert f"layer {layer}, head {head}" in page.locator(".st-key-heatmap .gtitle").text_content()  # type: ignore[operator]
        boxed = page.locator(".st-key-tiles .box").bounding_box()
        assert boxed
        around = (
            box["x"] + box["width"] * head / 8,
            box["y"] + box["height"] * layer / 3,
            box["width"] / 8,
            box["height"] / 3,
        )
        assert [boxed[side] for side in ("x", "y", "width", "height")] == pytest.approx(around, abs=2)


def test_a_mask_is_painted_and_undone(page: Page) -> None:
    page.get_by_role("link", name="Masks", exact=True).click()
    page.locator(".st-key-mask .main-svg").first.wait_for()
    settle(page)
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
    expect(page.locator("[data-testid=stMain]")).to_contain_text("token 1 may not look at token 3")
    assert "blocked" in page.url
    page.get_by_role("button", name="Undo all changes").first.click()
    settle(page)
    assert "blocked" not in page.url


def test_a_second_click_on_the_same_thumbnail_opens_it_again(page: Page) -> None:
    area = page.locator(".st-key-mosaic .nsewdrag").first
    for number in range(2):
        area.scroll_into_view_if_needed()
        box = area.bounding_box()
        assert box
        page.mouse.move(box["x"] + box["width"] * 1.5 / 8, box["y"] + box["height"] * 0.5 / 3)
        page.wait_for_timeout(300)
        page.mouse.down()
        page.mouse.up()
        settle(page)
        expect(page.locator("h2").first).to_have_text("Layer 0, head 1")
        if number == 0:
            page.locator(".st-key-head").get_by_role("radio", name="6").click()
            settle(page)
            expect(page.locator("h2").first).to_have_text("Layer 0, head 6")
            page.mouse.move(0, 0)


def test_another_head_shows_in_the_large_map_before_the_server_is_asked(page: Page) -> None:
    sent: list[object] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda data: sent.append(data)))
    page.set_viewport_size({"width": 1280, "height": 2200})  # the page does not scroll under the pointer
    page.goto(page.url.split("?")[0])
    title = page.locator(".st-key-heatmap .gtitle")
    title.wait_for(timeout=60_000)
    settle(page)
    picture, buttons = page.locator(".st-key-heatmap .hm image"), page.locator(".st-key-head [role=radio]")
    start, server = len(sent), pixels(picture)
    expect(title).to_have_text("Cross attention, layer 0, head 3")
    buttons.nth(5).hover()
    expect(title).to_have_text("Cross attention, layer 0, head 5")
    browser_pixels = pixels(picture)
    assert browser_pixels != server
    page.mouse.move(5, 5)
    expect(title).to_have_text("Cross attention, layer 0, head 3")
    assert pixels(picture) == server
    assert len(sent) == start
    buttons.nth(5).click()
    page.mouse.move(5, 5)
    settle(page)
    expect(page.locator("h2").first).to_have_text("Layer 0, head 5")
    assert max_colour_distance(browser_pixels, pixels(picture)) <= 3
    # Another layer is taken from the picture of all heads.
    layer = page.locator(".st-key-layer [role=radio]").nth(2)
    layer.hover()
    expect(title).to_have_text("Cross attention, layer 2, head 5")
    browser_pixels = pixels(picture)
    layer.click()
    page.mouse.move(5, 5)
    settle(page)
    expect(page.locator("h2").first).to_have_text("Layer 2, head 5")
    assert max_colour_distance(browser_pixels, pixels(picture)) <= 3


def max_colour_distance(one: list[list[int]], other: list[list[int]]) -> int:
    """The largest difference of a colour channel in the middle of any cell."""
    return max(abs(a - b) for cells in zip(one, other, strict=True) for a, b in zip(*cells, strict=True))


def pixels(picture: Locator) -> list[list[int]]:
    """The colours in the middle of the 9 × 6 cells of a map."""
    found = picture.evaluate(
        """async image => {
          const loaded = new Image()
          loaded.src = image.href.baseVal
          await loaded.decode()
          const canvas = Object.assign(document.createElement("canvas"), { width: 900, height: 600 })
          const pen = canvas.getContext("2d")
          pen.drawImage(loaded, 0, 0, 900, 600)
          const middles = []
          for (let row = 0; row < 9; row++) for (let column = 0; column < 6; column++)
            middles.push([...pen.getImageData(150 * column + 75, (600 / 9) * (row + 0.5), 1, 1).data])
          return middles
        }"""
    )
    return [list(map(int, one)) for one in found]


FADING = """() => new Promise(resolve => {
  const start = performance.now()
  let most = 0
  document.querySelector(".st-key-head [role=radio][aria-checked=false]").click()
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


def test_hover_says_it_in_words(page: Page) -> None:
    area = page.locator(".st-key-heatmap .nsewdrag").first
    area.scroll_into_view_if_needed()
    box = area.bounding_box()
    assert box
    page.mouse.move(box["x"] + 15, box["y"] + 15)
    page.wait_for_timeout(500)
    assert "'<s>' looks at 'The [▁The]'" in "".join(page.locator(".st-key-heatmap .hoverlayer").all_text_contents())


def test_a_link_reopens_the_same_view(page: Page, address: str) -> None:
    type_sentence(page, "I see a tree.")
    page.locator(".st-key-head").get_by_role("radio", name="6").click()
    settle(page)
    link, drawn = page.url, page.locator(".st-key-heatmap .gtitle").text_content()
    page.goto("about:blank")
    page.goto(link)
    page.locator(".st-key-heatmap .main-svg").first.wait_for(timeout=60_000)
    settle(page)
    assert page.get_by_role("textbox", name="Your sentence").input_value() == "I see a tree."
    assert page.locator(".st-key-heatmap .gtitle").text_content() == drawn


def test_a_shared_link_opens_the_same_picture_on_another_computer(page: Page) -> None:
    type_sentence(page, "She sees the sea.")
    for key, name in (("kind", "encoder"), ("head", "6"), ("row_encoder", "sea")):
        page.locator(f".st-key-{key}").get_by_role("radio", name=name).click()
        settle(page)
    page.get_by_text("Hide special tokens").click()
    settle(page)
    page.locator(".st-key-share_menu button").first.click()
    settle(page)
    expect(page.locator("[data-testid=stPopoverBody] img")).to_be_visible()  # the QR code
    link = page.locator("[data-testid=stPopoverBody] code").text_content()
    assert link
    assert page.context.browser
    with page.context.browser.new_context(viewport={"width": 1280, "height": 800}) as context:
        other = context.new_page()
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
        chosen = other.locator(".st-key-row_encoder").get_by_role("radio", checked=True)
        expect(chosen).to_contain_text("sea")


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
    expect(page.locator("[data-testid=stMain]")).to_contain_text(typed)


@pytest.mark.parametrize("size", [(1280, 800), (390, 844)])
def test_every_page_draws_without_an_error_or_a_sideways_scroll(page: Page, size: tuple[int, int]) -> None:
    for name in (*(say(f"{page}.title") for page in PAGES[1:]), "Heads"):
        page.set_viewport_size({"width": 1280, "height": 800})
        page.wait_for_timeout(300)
        page.get_by_role("link", name=name, exact=True).click()
        settle(page)
        page.set_viewport_size({"width": size[0], "height": size[1]})
        expect(page.locator("h1")).to_have_text(name)
        page.locator(".stPlotlyChart .main-svg").first.wait_for()
        assert page.locator("[data-testid=stException]").count() == 0
        wide = page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth")
        assert wide <= page.evaluate("document.querySelector('[data-testid=stMain]').clientWidth")


@pytest.mark.parametrize("size", [(1280, 800), (390, 844)])
def test_the_first_lesson_from_its_start_to_its_answers(page: Page, size: tuple[int, int]) -> None:
    page.get_by_role("link", name="Lessons", exact=True).click()
    settle(page)
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.get_by_role("button", name="Start").first.click()
    settle(page)
    guide = page.locator(".st-key-lesson")
    expect(page.locator("h1")).to_have_count(0)  # covered until there is an answer
    expect(page.locator("[data-testid=stSidebar]")).to_be_hidden()  # this lesson is locked
    guide.get_by_test_id("stRadioGroup").get_by_text("512", exact=True).click()
    guide.get_by_role("button", name="Answer").click()
    settle(page)
    expect(page.locator("h1")).to_have_text("Why attention")
    expect(guide).to_contain_text("That is right.")
    for number in range(2, 8):
        if number == 3:
            page.keyboard.press("n")
        else:
            guide.get_by_role("button", name="Next").click()
        settle(page)
        expect(guide).to_contain_text(f"Step {number} of 7")
        assert f"lesson_step={number}" in page.url
        wide = page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth")
        assert wide <= page.evaluate("document.querySelector('[data-testid=stMain]').clientWidth")
        if number == 5:
            guide.get_by_test_id("stRadioGroup").get_by_text("him", exact=True).click()
            guide.get_by_role("button", name="Answer").click()
            page.locator(".st-key-heatmap .main-svg").first.wait_for(timeout=60_000)
            assert "layer 0, head 3" in page.locator(".st-key-heatmap .gtitle").text_content()  # type: ignore[operator]
    guide.get_by_role("button", name="Finish").click()
    settle(page)
    expect(page.locator("h1")).to_have_text("Lessons")
    with page.expect_download() as download:
        page.locator(".st-key-lesson_download").get_by_role("button").click()
    lines = download.value.path().read_text(encoding="utf-8-sig").splitlines()
    assert len(lines) == 3
    assert lines[1].endswith(",512,yes")
    assert lines[2].endswith(",him,yes")


COLOURS = """[getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor,
  ...[...document.querySelectorAll('.gtitle')].map(title => title.style.fill)]"""


# Elements to be replaced or still to come are drawn faint, and colours change by transitions.
STILL = """() => !document.querySelector(
    '[data-stale=true], [data-testid=stSkeleton], [data-test-script-state=running]')
  && [...document.querySelectorAll('.stPlotlyChart')].every(one => one.querySelector('.main-svg'))
  && document.getAnimations().every(one => one.effect.getComputedTiming().iterations === Infinity)"""


def violations(page: Page) -> list[str]:
    """Violations of all rules of axe-core on the current page."""
    page.wait_for_function(STILL, timeout=90_000)
    page.evaluate(AXE_FILE_PATH.read_text(encoding="utf-8"))
    # The app makes new elements reachable by key after 50 ms (`audience.announce`).
    page.evaluate("new Promise(then => setTimeout(then, 100))")
    found = page.evaluate("axe.run({resultTypes: ['violations']}).then(result => result.violations)")
    return [f"{one['id']}: {node['target']} {node['failureSummary']}" for one in found for node in one["nodes"]]


RIGHT_TO_LEFT = quote("السيارة الحمراء توقفت.")
PATHS = [*PAGES, "?projector=1&language=fr", "?lesson=04-one-head&lesson_step=4", f"?text={RIGHT_TO_LEFT}"]


def test_no_page_has_what_axe_calls_a_violation(address: str, browser: Browser) -> None:
    """Each page is opened once and checked in both themes: opening it takes longer than checking it."""
    with browser.new_context(viewport={"width": 1280, "height": 800}) as context:
        page = context.new_page()
        for path in PATHS:
            page.emulate_media(color_scheme="light")
            page.goto(f"{address}/{'' if path == 'heads' else path}")
            page.locator("h1, .st-key-lesson h2").first.wait_for(timeout=60_000)
            settle(page)
            assert not violations(page), (path, "light")
            light = page.evaluate(COLOURS)
            page.emulate_media(color_scheme="dark")
            # The server has also redrawn its figures.
            page.wait_for_function(
                f"light => ({COLOURS}).every((one, i) => one !== light[i])", arg=light, timeout=30_000
            )
            settle(page)
            assert not violations(page), (path, "dark")


def test_keys_lead_through_layers_and_heads_on_a_projector(page: Page) -> None:
    head, area = page.locator("h2").first, page.locator("[data-testid=stMain]")
    page.keyboard.press("p")
    settle(page)
    expect(page.locator("[data-testid=stSidebar]")).to_be_hidden()
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
    expect(page.locator("[data-testid=stSidebar]")).to_be_visible()
    assert "projector" not in page.url


def test_a_screen_reader_hears_the_sentence_and_finds_the_table(page: Page) -> None:
    said = page.locator("#said[role=status]")
    expect(said).to_contain_text("In layer 0, head 3,")
    before = said.text_content()
    type_sentence(page, "She sees the sea.")
    assert said.text_content() != before
    page.locator(".st-key-save_heatmap button").focus()
    page.keyboard.press("Enter")
    settle(page)
    expect(page.locator("[data-testid=stPopoverBody] [data-testid=stDataFrame]")).to_be_visible()
    page.keyboard.press("Tab")  # focus moves into the menu, although it stands at the end of the document
    expect(page.get_by_role("button", name="Picture (PNG)")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator(".st-key-save_heatmap button")).to_be_focused()


def test_the_language_is_chosen_in_the_sidebar(page: Page) -> None:
    page.locator(".st-key-language input").click()
    page.keyboard.type("Deutsch")
    page.keyboard.press("Enter")
    settle(page)
    expect(page.locator("h1")).to_have_text("Köpfe")
    assert "language=de" in page.url
    assert page.evaluate("document.documentElement.lang") == "de"
    page.get_by_role("link", name="Masken", exact=True).click()
    settle(page)
    expect(page.locator("h1")).to_have_text("Masken")
    assert "language=de" in page.url
    assert page.locator("[data-testid=stException]").count() == 0


def test_the_browser_is_greeted_in_its_own_language(address: str, browser: Browser) -> None:
    with browser.new_context(locale="es-MX") as context:
        page = context.new_page()
        page.goto(address)
        expect(page.locator("h1")).to_have_text("Cabezas", timeout=60_000)
