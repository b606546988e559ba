"""How tests use the page in Chromium: visits, tiles and rows as a pointer meets them, and what is in sight."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.serving import CHROMIUM, settle

needs_chromium = pytest.mark.skipif(
    CHROMIUM is None and "CI" not in os.environ, reason="Chromium is missing: install Debian's package chromium"
)
DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
PATIENCE = 90_000  # milliseconds: on a machine that does much else at once, a page alone takes half a minute
expect.set_options(timeout=PATIENCE)
PARTS = ("sentence", "output", "mosaic", "heatmap", "lines", "reading")
# The tour has been offered; a blank page has no storage.
SECOND_VISIT = "try { localStorage.setItem('headlight-tour', '1') } catch {}"


@dataclass(frozen=True)
class Visit:
    """A page of the app.

    Attributes:
        errors: what the console said was wrong, and requests to elsewhere.
        sent: messages to the server, over the websocket.
    """

    page: Page
    errors: list[str] = field(default_factory=list)
    sent: list[object] = field(default_factory=list)


@contextmanager
def visit(
    browser: Browser, address: str, path: str = "heads", *, first: bool = False, shows: str = "", **how: Any
) -> Iterator[Visit]:
    """A visit to the app by somebody who was never there, which fails on any error in the console.

    Args:
        path: page and parameters; by default Heads, which is waited for.
        first: whether the tour is offered.
        shows: selector of what is waited for; by default the figures of Heads, or of the whole model.
        how: of the context, such as `viewport`, `has_touch` or `reduced_motion`, or `kept=False`, as of `blank_page`.
    """
    with blank_page(browser, address, first=first, **how) as page:
        made = Visit(page)
        hears = {
            "console": lambda message: made.errors.append(message.text) if message.type == "error" else None,
            "pageerror": lambda error: made.errors.append(str(error)),
            "request": lambda r: None if r.url.startswith((address, "data:", "blob:")) else made.errors.append(r.url),
            "websocket": lambda socket: socket.on("framesent", lambda data: made.sent.append(data)),
        }
        for event, hear in hears.items():
            page.on(event, hear)  # type: ignore[call-overload]
        try:
            open_at(page, f"{address}/{path}", shows)
            yield made
        finally:
            for event, hear in hears.items():
                page.remove_listener(event, hear)
    assert not made.errors, made.errors


_left: WeakKeyDictionary[Browser, dict[str, Page]] = WeakKeyDictionary()  # pages that nobody uses, by their context


@contextmanager
def blank_page(browser: Browser, address: str, *, first: bool = False, kept: bool = True, **how: Any) -> Iterator[Page]:
    """A blank page without history and storage: one that was left, as its scripts are compiled, or a new one.

    A page whose scripts are compiled opens the app in less than half the time of a new one.

    Args:
        first: whether the tour is offered.
        kept: False for who adds scripts or routes to it, which cannot be taken back.
        how: of the context, such as `viewport`, `has_touch` or `reduced_motion`.
    """
    how = {"viewport": DESKTOP} | how
    left, same = _left.setdefault(browser, {}), repr((first, sorted((how | {"viewport": None}).items())))
    page = left.pop(same, None) if kept else None
    if page is None:
        context = browser.new_context(**how)
        context.set_default_timeout(PATIENCE)
        if not first:
            context.add_init_script(SECOND_VISIT)
        page = context.new_page()
    page.set_viewport_size(how["viewport"])
    try:
        yield page
        if kept and same not in left:
            _forget(page, address)
            left[same] = page
    finally:
        if left.get(same) is not page:  # also where the test has failed
            page.context.close()


def _forget(page: Page, address: str) -> None:
    """Leave the app, and make the browser forget that it was there."""
    for other in page.context.pages:
        if other is not page:
            other.close()
    page.goto(f"{address}/_stcore/health")  # where no script of the app remembers anything anew
    page.evaluate("localStorage.clear(); sessionStorage.clear()")
    page.context.clear_cookies()
    page.goto("about:blank")
    page.mouse.move(0, 0)
    browsed = page.context.new_cdp_session(page)
    browsed.send("Page.resetNavigationHistory")
    browsed.detach()


def open_at(page: Page, address: str, shows: str = "") -> None:
    """Open an address, and wait until all is drawn. shows: as for `visit`"""
    page.goto(address)
    parts = ("whole",) if urlsplit(address).path in ("", "/", "/whole") else ("heatmap", "lines")
    for selector in [shows] if shows else [f".st-key-{part} .main-svg" for part in parts]:
        page.locator(selector).first.wait_for(timeout=90_000)
    settle(page)


def type_sentence(page: Page, sentence: str) -> None:
    """Type a sentence and run it."""
    box = page.locator(".st-key-sentence textarea")
    box.fill(sentence)
    box.press("Enter")
    settle(page)


def go(page: Page, group: str, title: str) -> None:
    """Choose a page in the bar at the top, or on a phone in the menu at the left.

    Args:
        group: name of its group; title: of the page, which is also its heading's.
    """
    if page.viewport_size and page.viewport_size["width"] < 768:
        page.get_by_test_id("stExpandSidebarButton").click()
        page.get_by_test_id("stSidebarNavLink").filter(has=page.get_by_text(title, exact=True)).click()
    else:
        page.get_by_test_id("stTopNavSection").filter(has=page.get_by_text(group, exact=True)).click()
        page.get_by_role("menuitem").filter(has=page.get_by_text(title, exact=True)).click()
    expect(page.locator("h1")).to_contain_text(title)
    settle(page)


def out_of_sight(page: Page, parts: tuple[str, ...] = PARTS) -> list[str]:
    """The parts of the page, by their keys, that are not there or not wholly within the window."""
    return page.evaluate(
        """parts => parts.filter(part => {
          const found = document.querySelector(`.st-key-${part}`)?.getBoundingClientRect()
          return !found || !found.width || !found.height || found.top < 0 || found.left < 0
            || found.bottom > innerHeight + 0.5 || found.right > innerWidth + 0.5
        })""",
        list(parts),
    )


TILE = """([layer, head]) => {
  const gd = document.querySelector(".st-key-mosaic .js-plotly-plot"), box = gd.getBoundingClientRect()
  const { xaxis, yaxis } = gd._fullLayout
  const at = layer * gd.layout.meta.tiles.heads + head, [across, down] = [gd.data[0].x[at], gd.data[0].y[at]]
  return [box.left + xaxis._offset + xaxis.l2p(across), box.top + yaxis._offset + yaxis.l2p(down)]
}"""
ROW = """([key, place]) => {
  const gd = document.querySelector(`.st-key-${key} .js-plotly-plot`), box = gd.getBoundingClientRect()
  const mark = gd.layout.meta.focus.find(one => one.axis === "y" && one.places.includes(place))
  const { xaxis, yaxis } = gd._fullLayout
  const across = mark.span ? xaxis.l2p((mark.span[0] + mark.span[1]) / 2) : xaxis._length / 2
  return [box.left + xaxis._offset + across,
    box.top + yaxis._offset + yaxis.l2p(mark.at[mark.places.indexOf(place)])]
}"""


def tile_at(page: Page, layer: int, head: int) -> tuple[float, float]:
    """The middle of a head's tile, in the window."""
    x, y = page.evaluate(TILE, [layer, head])
    return x, y


def row_at(page: Page, place: int, key: str = "heatmap") -> tuple[float, float]:
    """The middle of a token's row in a figure, in the window. key: of the figure"""
    x, y = page.evaluate(ROW, [key, place])
    return x, y


def click_at(page: Page, at: tuple[float, float]) -> None:
    """Move the pointer somewhere, press, and wait for the answer."""
    page.mouse.move(*at)
    page.wait_for_timeout(200)
    page.mouse.down()
    page.mouse.up()
    settle(page)


SHOWN = """() => {
  const gd = document.querySelector(".st-key-heatmap .js-plotly-plot")
  const box = document.querySelector(".st-key-mosaic .tile-box")?.getBoundingClientRect()
  const reading = document.querySelector(".st-key-reading"), live = reading.querySelector(".live-reading")
  const chosen = document.querySelector(".chosen-head").dataset
  return {
    layer: Number(chosen.layer), head: Number(chosen.head), row: Number(chosen.row),
    heading: document.querySelector(".st-key-head_title h2").innerText,
    reading: (live ?? reading).innerText,
    box: box && [box.left + box.width / 2, box.top + box.height / 2],
    tile: (TILE)([Number(chosen.layer), Number(chosen.head)]), // at the same time: the page may be scrolling
    weights: Array.from(gd._fullData[0].z, row => Array.from(row, one => Number.isFinite(one) ? one : null)),
  }
}""".replace("TILE", TILE)


def shown(page: Page) -> dict[str, Any]:
    """The head and row that the server shows, heading, reading, box among the tiles, and the map's weights."""
    found: dict[str, Any] = page.evaluate(SHOWN)
    return found


def assert_agrees(page: Page, layer: int, head: int, row: int | None = None) -> dict[str, Any]:
    """What `shown` returns, once heading, tile box and reading have been found to speak of this head and of the map."""
    found = shown(page)
    assert re.match(rf"Layer {layer}, head {head}\b", found["heading"]), found["heading"]
    assert (found["layer"], found["head"]) == (layer, head)
    assert found["box"] == pytest.approx(found["tile"], abs=3)
    assert row is None or found["row"] == row
    told = re.match(r"In layer (\d+), head (\d+), .+? looks at (.*?%)(?:\.|$)(?:\s|$)", found["reading"])
    assert told, found["reading"]
    assert (int(told[1]), int(told[2])) == (layer, head)
    percents = [int(one) for one in re.findall(r"(\d+) ?%", told[3])]
    strongest = sorted((one for one in found["weights"][found["row"]] if one is not None), reverse=True)
    assert percents
    assert percents == pytest.approx([100 * one for one in strongest[: len(percents)]], abs=0.51)
    return found
