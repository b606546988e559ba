"""What a person waits for, in Chromium: from the click to the redrawn map, and from the command to the first map."""

from __future__ import annotations

import time
from collections.abc import Iterator
from statistics import median
from typing import Any
from urllib.parse import urlencode

from playwright.sync_api import Browser, Page

import model
from tests.bench.computing import LENGTHS
from tests.bench.texts import length, text_of
from tests.serving import chromium, running, serve, settle

# Presses a button and waits, frame by frame, until the map has the title of that head and its picture is there.
CLICK = """([number]) => new Promise((resolve, reject) => {
  const start = performance.now()
  const buttons = [...document.querySelectorAll('.st-key-head [role=radio], .st-key-head button')]
  buttons.find(one => one.textContent.trim() === String(number)).click()
  const look = () => {
    const title = document.querySelector('.st-key-heatmap .gtitle')
    const drawn = document.querySelector('.st-key-heatmap .hm image')
    if (title && drawn && title.textContent.endsWith('head ' + number))
      requestAnimationFrame(() => resolve((performance.now() - start) / 1000))
    else if (performance.now() - start > 60000) reject('never drawn')
    else requestAnimationFrame(look)
  }
  look()
})"""
DRAWN = ".st-key-heatmap .main-svg"


def opened(browser: Browser, address: str, **query: str) -> Page:
    page = browser.new_page(viewport={"width": 1280, "height": 1400})
    page.goto(f"{address}/?{urlencode(query)}")
    page.locator(DRAWN).first.wait_for(timeout=120_000)
    settle(page)
    return page


def measure(names: list[str], times: int) -> Iterator[dict[str, Any]]:
    """A row for each model and length: seconds from click to redrawn, ours and the floor's, in turns."""
    with serve() as ours, serve("tests/bench/floor.py") as floor, chromium() as browser:
        for name in names:
            lens: Any = model.load(name, "cpu")
            for wished in LENGTHS[name]:
                if wished > 512:
                    continue
                text = text_of(lens, wished)
                tokens = length(lens, text)
                page = opened(browser, ours, model=name, text=text)
                bar = opened(browser, floor, size=str(tokens))
                waits: dict[Page, list[float]] = {page: [], bar: []}
                for turn in range(times):
                    for one, found in waits.items():
                        one.bring_to_front()
                        found.append(one.evaluate(CLICK, [1 + turn % 2]))
                        settle(one)
                page.close(), bar.close()
                mine, least = median(waits[page]), median(waits[bar])
                yield {"model": name, "tokens": tokens, "click": mine, "floor": least, "click ÷ floor": mine / least}


def cold(times: int) -> Iterator[dict[str, Any]]:
    """Seconds from the command to what is seen, ours and a hello-world that imports torch, in turns."""
    seen = {"app.py": ("h1", DRAWN), "tests/bench/hello.py": ("h1", "text=is here")}
    with chromium() as browser:
        for turn in range(times):
            for script, marks in seen.items():
                start = time.perf_counter()
                with running(script) as (address, _):
                    row: dict[str, Any] = {"turn": turn, "app": script}
                    for visit in ("first", "second"):
                        page = browser.new_page(viewport={"width": 1280, "height": 800})
                        page.goto(address)
                        for what, mark in zip(("frame", "all"), marks, strict=True):
                            page.locator(mark).first.wait_for(timeout=120_000)
                            row[f"{visit} visit, {what}"] = time.perf_counter() - start
                        page.close()
                        start = time.perf_counter()
                yield row
