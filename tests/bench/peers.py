"""Other libraries' pages compared with ours: bytes, time to the first picture, and time to another head or layer.

Each library writes its page for the same attention weights, and Chromium opens it from this machine. What it loads from
the network comes from a folder, by the last part of its address: see docs/PERFORMANCE.md.
"""

from __future__ import annotations

import importlib.util
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlencode

import numpy as np
import psutil
from playwright.sync_api import Browser, Error, Page, Route, TimeoutError

import model
from tests.bench.client import Client
from tests.bench.library_pages import LIBRARY_VIEWS, OWN_VIEWS, TILE, View, html_page
from tests.bench.paging import without_errors
from tests.bench.texts import text_of_length, token_count
from tests.browser.driving import tile_at
from tests.serving import chromium, serve, settle

TIMEOUT = 120.0  # seconds for one picture
MEMORY_LIMIT = 6_000_000_000  # bytes for one of the browser's processes
OPENS_AT = {"layer": "0", "head": "0"}

# Looks at the page before each frame; a picture counts once the browser has worked out the frame that shows it.
WATCH = """
window.watched = {
  sign: () => { try { return (SIGN)() } catch { return null } },
  wait(before, since) {
    this.seconds = null
    const look = () => {
      const now = this.sign()
      if (now === null || now === before) return requestAnimationFrame(look)
      requestAnimationFrame(() => requestAnimationFrame(() => { this.seconds = (performance.now() - since) / 1000 }))
    }
    requestAnimationFrame(look)
  },
}
watched.wait(null, 0)
"""
ASK = """number => {
  const before = watched.sign()
  watched.seconds = null
  setTimeout(() => { const since = performance.now(); watched.wait(before, since); (ACT)(number) }, 50)
}"""
ARM = """() => {
  const before = watched.sign()
  watched.seconds = null
  addEventListener('mousedown', () => watched.wait(before, performance.now()), {capture: true, once: true})
}"""


class UnchangedPageError(Exception):
    """A page does not show the head or layer that was requested; the message says why."""


def measure(scripts: Path | None, times: int, lengths: list[int]) -> Iterator[dict[str, Any]]:
    """A row for each length and page; times in seconds, memory in bytes."""
    lens: Any = model.load("minilm", "cpu")
    with serve() as ours, tempfile.TemporaryDirectory() as folder, serve_folder(Path(folder)) as library_address:
        warm = Client(ours, model="minilm", text="A first sentence.")
        without_errors(warm.visit())
        warm.close()
        for wished in lengths:
            text = text_of_length(lens, wished)
            tokens = token_count(lens, text)
            attention = lens.trace(text).attentions["encoder"]
            weights = np.stack([attention.weights(layer) for layer in range(attention.num_layers)])
            start = time.perf_counter()
            client = Client(ours, model="minilm", text=text)
            without_errors(client.visit())
            client.close()
            ran = time.perf_counter() - start
            for name, view in (LIBRARY_VIEWS | OWN_VIEWS).items():
                row: dict[str, Any] = {"tokens": tokens, "page": name}
                with chromium() as browser:
                    if view.make is None:
                        query = {"model": "minilm", "text": text} | OPENS_AT
                        row |= {"made": ran} | page_row(browser, f"{ours}/?{urlencode(query)}", view, times, None)
                    else:
                        row |= library_row(
                            browser, library_address, Path(folder), view, weights, attention.key_tokens, scripts, times
                        )
                yield row


def library_row(
    browser: Browser,
    address: str,
    folder: Path,
    view: View,
    weights: np.ndarray,
    tokens: tuple[str, ...],
    scripts: Path | None,
    times: int,
) -> dict[str, Any]:
    """The measurements of one library's page, or the reason why there is none."""
    row: dict[str, Any] = dict.fromkeys(("made", *COLUMNS), "–")
    if importlib.util.find_spec(view.package) is None:
        return row | {"why not": f"{view.package} is not installed: pip install -r requirements-bench.txt"}
    assert view.make is not None
    start = time.perf_counter()
    try:
        page = html_page(view.make(weights, list(tokens)))
    except Exception as error:  # any failure of a library is reported in its row
        return row | {"why not": f"wrote no page: {error!r}"}
    row["made"] = time.perf_counter() - start
    (folder / "page.html").write_text(page, encoding="utf-8")
    return row | page_row(browser, f"{address}/page.html", view, times, scripts, weights.shape[1])


COLUMNS = ("page bytes", "scripts bytes", "first picture", "another head", "another layer", "browser memory", "why not")


def page_row(
    browser: Browser, address: str, view: View, times: int, scripts: Path | None, heads: int = 12
) -> dict[str, Any]:
    """The measurements of a page: it is opened, then other heads and layers are requested."""
    row: dict[str, Any] = dict.fromkeys(COLUMNS, "–") | {"why not": ""}
    page = browser.new_page(viewport={"width": 1280, "height": 1400})
    page.set_default_timeout(TIMEOUT * 1000)
    missing: list[str] = []
    if view.make is not None:
        page.route(
            lambda url: not url.startswith(address.rpartition("/")[0]), partial(fulfil_from_folder, scripts, missing)
        )
    page.add_init_script(WATCH.replace("SIGN", view.sign))
    bytes_of = byte_counter(page)
    with memory_watch(row) as alive:
        try:
            page.goto(address, wait_until="commit")
            row["first picture"] = wait_until_drawn(page)
            row |= bytes_of()
            if view.make is None:
                settle(page)
                page.locator(view.shown).scroll_into_view_if_needed()
            for what, act in (("another head", view.head), ("another layer", view.layer)):
                if act is not None:
                    row[what] = median(change_time(page, act, what, turn, heads) for turn in range(times + times % 2))
        except (Error, UnchangedPageError) as error:
            told = (
                f"no picture within {TIMEOUT:.0f} s" if isinstance(error, TimeoutError) else str(error).splitlines()[0]
            )
            row["why not"] = f"its renderer took more than {MEMORY_LIMIT / 1e9:.0f} GB" if alive["ended"] else told
    if missing:
        row["why not"] = f"missing in the folder of scripts: {', '.join(missing)}"
    if not alive["ended"] and not row["why not"]:
        page.close()
    return row


def change_time(page: Page, act: str, what: str, turn: int, heads: int) -> float:
    """Seconds from the request of another head or layer to its picture.

    Raises:
        UnchangedPageError: a screenshot shows no change.
    """
    number = 1 + turn % 2
    before = page.screenshot()
    if act == TILE:
        layer, head = (0, number) if what == "another head" else (number, 0)
        click_tile(page, layer, head)
    else:
        page.evaluate(ASK.replace("ACT", act).replace("HEADS", str(heads)), number)
    seconds = wait_until_drawn(page)
    page.wait_for_timeout(100)
    if page.screenshot() == before:
        raise UnchangedPageError(f"{what}: the picture stayed the same")
    return seconds


def click_tile(page: Page, layer: int, head: int) -> None:
    """Click on a head in the picture of all heads."""
    settle(page)
    page.locator(".st-key-mosaic").scroll_into_view_if_needed()
    page.mouse.move(*tile_at(page, layer, head))
    page.wait_for_timeout(300)
    page.evaluate(ARM)
    page.mouse.down()
    page.mouse.up()


def wait_until_drawn(page: Page) -> float:
    """Seconds until the awaited picture was drawn, measured in the page."""
    page.wait_for_function("window.watched && watched.seconds !== null", polling=50)
    return page.evaluate("watched.seconds")


def fulfil_from_folder(scripts: Path | None, missing: list[str], route: Route) -> None:
    """Respond to a network request with the file of its name from a folder; note the name where there is none."""
    name = route.request.url.rpartition("/")[2]
    if not name or name == "favicon.ico":
        route.abort()
    elif scripts is not None and (scripts / name).is_file():
        route.fulfill(path=scripts / name)
    else:
        missing.append(name)
        route.abort()


def byte_counter(page: Page) -> Any:
    """A function that returns the bytes received so far: of the page or its messages, and of its scripts."""
    wire = page.context.new_cdp_session(page)
    wire.send("Network.enable")
    kinds: dict[str, str] = {}
    found = {"page bytes": 0, "scripts bytes": 0}

    def add(what: str, count: float) -> None:
        found[what] += int(count)

    wire.on("Network.responseReceived", lambda told: kinds.update({told["requestId"]: told["type"]}))
    wire.on(
        "Network.dataReceived",
        lambda told: add(
            "page bytes" if kinds.get(told["requestId"]) == "Document" else "scripts bytes", told["dataLength"]
        ),
    )
    # What Streamlit sends over its socket is binary: base64 here, four letters for three bytes.
    wire.on(
        "Network.webSocketFrameReceived",
        lambda told: add("page bytes", len(told["response"]["payloadData"]) * 3 / 4),
    )
    return lambda: dict(found)


@contextmanager
def memory_watch(row: dict[str, Any]) -> Iterator[dict[str, bool]]:
    """Note the memory of the browser's largest process, and end a process that takes more than `MEMORY_LIMIT`."""
    state, done = {"ended": False}, threading.Event()
    row["browser memory"] = 0

    def watch() -> None:
        while not done.wait(0.25):
            for process in psutil.Process().children(recursive=True):
                try:
                    if not process.name().startswith(("chrom", "google-chrome")):
                        continue
                    taken = process.memory_info().rss
                    row["browser memory"] = max(row["browser memory"], taken)
                    if taken > MEMORY_LIMIT:
                        state["ended"] = True
                        process.kill()
                except psutil.Error:
                    pass

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield state
    finally:
        done.set()
        thread.join()


@contextmanager
def serve_folder(folder: Path) -> Iterator[str]:
    """Serve a folder on a free port of this machine; yields its address."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
