"""Waiting times in Chromium: from a click, a new text or a start of the app to what is drawn."""

from __future__ import annotations

import time
from collections.abc import Iterator
from statistics import median
from typing import Any
from urllib.parse import urlencode

import torch
from playwright.sync_api import Browser, Page

import model
from tests.bench.computing import LENGTHS
from tests.bench.texts import text_of_length, token_count
from tests.bench.views import beyond_forward, forced_output
from tests.serving import chromium, running, serve, settle

# Clicks a tile, or a button of the floor, and waits, frame by frame, until heading and map show that head, which our
# page does by itself, and until the figure that the server sent for it is drawn. Seconds: [shown, redrawn].
CLICK = """([number, row]) => new Promise((resolve, reject) => {
  const start = performance.now(), seconds = () => (performance.now() - start) / 1000
  const plot = () => document.querySelector('.st-key-heatmap .js-plotly-plot')
  const tiles = document.querySelector('.st-key-mosaic .js-plotly-plot'), before = plot().data[0].z
  const says = text => new RegExp(`\\\\b${row} ${number}\\\\b`, 'i').test(text ?? '')
  const named = () => says(tiles ? document.querySelector('.st-key-head_title h2').textContent
    : plot()?.querySelector('.gtitle')?.textContent)
  if (tiles) {
    const at = { ...document.querySelector('.chosen-head').dataset, [row]: number }, box = tiles.getBoundingClientRect()
    const { xaxis, yaxis } = tiles._fullLayout
    const tile = Number(at.layer) * tiles.layout.meta.tiles.heads + Number(at.head), { x, y } = tiles.data[0]
    const [across, down] = [x[tile], y[tile]]
    const clientX = box.left + xaxis._offset + xaxis.l2p(across), clientY = box.top + yaxis._offset + yaxis.l2p(down)
    tiles.querySelector('.nsewdrag').dispatchEvent(new MouseEvent('click', { bubbles: true, clientX, clientY }))
  } else {
    [...document.querySelectorAll('.st-key-head button')].find(one => one.textContent.trim() === String(number)).click()
  }
  let shown = null
  const look = () => {
    const drawn = named() && plot()?.querySelector('.hm image')
    if (drawn) shown ??= seconds()
    if (drawn && plot().data[0].z !== before && !document.body.hasAttribute('data-painted'))
      requestAnimationFrame(() => resolve([shown, seconds()]))
    else if (seconds() > 60) reject('never drawn')
    else requestAnimationFrame(look)
  }
  look()
})"""
# Notes what the figures show, then waits from the next key with which a text is given until each shows something else.
# Seconds.
TYPED = """() => { window.typed = new Promise((resolve, reject) => {
  // Until the run ends what is replaced stays in the page, hidden.
  const seen = (key, what) =>
    [...document.querySelectorAll(`.st-key-${key} ${what}`)].find(one => one.checkVisibility())
  const shows = () => [
    seen('mosaic', '.imagelayer image')?.getAttribute('href'),
    seen('heatmap', '.hm image')?.getAttribute('href'),
    drawn(seen('lines', '.scatterlayer')),
  ]
  // Lines may lie as before between other words, and words may repeat.
  const drawn = lines => lines?.querySelector('path') && lines.closest('.js-plotly-plot').textContent +
    [...lines.querySelectorAll('path')].map(one => one.getAttribute('d'))
  const before = shows()
  if (before.some(one => !one)) return reject('a figure is missing')
  addEventListener('keydown', function given(event) {
    if (event.key !== 'Enter') return
    removeEventListener('keydown', given, true)
    const start = performance.now()
    const seconds = () => (performance.now() - start) / 1000
    const look = () => {
      if (shows().every((one, i) => one && one !== before[i])) requestAnimationFrame(() => resolve(seconds()))
      else if (seconds() > 60) reject('never drawn')
      else requestAnimationFrame(look)
    }
    look()
  }, true)
}) }"""
# Points at a box of the whole model and waits, frame by frame, until the panel says what it is; then the least that a
# browser takes to show anything: two frames. Seconds: [both].
POINT = """name => new Promise((resolve, reject) => {
  const gd = document.querySelector('.st-key-whole .js-plotly-plot'), edge = gd.getBoundingClientRect()
  const box = gd.layout.meta.boxes.find(one => one.name === name), { xaxis, yaxis } = gd._fullLayout
  const middle = (axis, [from, to]) => axis._offset + axis.l2p((from + to) / 2)
  const clientX = edge.left + middle(xaxis, box.x), clientY = edge.top + middle(yaxis, box.y)
  const start = performance.now(), seconds = () => (performance.now() - start) / 1000
  document.elementFromPoint(clientX, clientY).dispatchEvent(
    new PointerEvent('pointermove', { bubbles: true, clientX, clientY, pointerType: 'mouse' }))
  const frames = shown => {
    const from = performance.now()
    requestAnimationFrame(() => requestAnimationFrame(() => resolve([shown, (performance.now() - from) / 1000])))
  }
  const look = () => {
    if (document.querySelector('.whole-panel h3')?.textContent === box.title)
      requestAnimationFrame(() => frames(seconds()))
    else if (seconds() > 60) reject('never shown')
    else requestAnimationFrame(look)
  }
  look()
})"""
DRAWN = ".st-key-heatmap .main-svg"
# The picture of all heads: as it stands there at first, or in its figure.
PICTURE = ".st-key-tiles img, .st-key-mosaic .imagelayer image"
# Looks at every frame; a locator's `wait_for` looks twice a second.
SEEN = """([selector, text]) => [...document.querySelectorAll(selector)].some(
  one => one.getBoundingClientRect().width && one.textContent.includes(text))"""


def open_page(browser: Browser, address: str, **query: str) -> Page:
    """A page of an app, after its first heat map is drawn."""
    page = browser.new_page(viewport={"width": 1280, "height": 1400})
    page.goto(f"{address}/heads?{urlencode(query)}")
    page.locator(DRAWN).first.wait_for(timeout=120_000)
    settle(page)
    return page


def measure(names: list[str], times: int, lengths: list[int] | None) -> Iterator[dict[str, Any]]:
    """A row for each model and length: seconds from click to redrawn, ours and the floor's, in turns."""
    with serve() as ours, serve("tests/bench/floor.py") as floor, chromium() as browser:
        for name in names:
            lens: Any = model.load(name, "cpu")
            for wished in lengths or LENGTHS[name]:
                if wished > 512:
                    continue
                text = text_of_length(lens, wished)
                tokens = token_count(lens, text)
                page = open_page(browser, ours, model=name, text=text)
                bar = open_page(browser, floor, size=str(tokens))
                waits: dict[Page, list[list[float]]] = {page: [], bar: []}
                layers = []
                for turn in range(times):
                    for one, found in waits.items():
                        one.bring_to_front()
                        found.append(one.evaluate(CLICK, [1 + turn % 2, "head"]))
                        settle(one)
                    page.bring_to_front()
                    layers.append(page.evaluate(CLICK, [1 + turn % 2, "layer"]))
                    settle(page)
                page.close(), bar.close()
                least = median(one[1] for one in waits[bar])
                row: dict[str, Any] = {"model": name, "tokens": tokens, "floor": least}
                for what, found in (("head", waits[page]), ("layer", layers)):
                    for seconds, seen in zip(map(median, zip(*found, strict=True)), ("shown", "redrawn"), strict=True):
                        row |= {f"{what} {seen}": seconds, f"{what} {seen} ÷ floor": seconds / least}
                yield row


def pointing(names: list[str], times: int, lengths: list[int]) -> Iterator[dict[str, Any]]:
    """A row for each model and length: seconds from the pointer on a box of the whole model to what the panel says."""
    with serve() as ours, chromium() as browser:
        for name in names:
            lens: Any = model.load(name, "cpu")
            stack = next(iter(lens.heads))
            for wished in lengths:
                text = text_of_length(lens, wished)
                page = browser.new_page(viewport={"width": 1280, "height": 800})
                page.goto(f"{ours}/?{urlencode({'model': name, 'text': text})}")
                page.locator(".st-key-whole .main-svg").first.wait_for(timeout=120_000)
                settle(page)
                boxes = [f"{stack}.1.{turn % 2}" for turn in range(2 * times)]
                shown, frames = map(median, zip(*(page.evaluate(POINT, box) for box in boxes), strict=True))
                page.close()
                yield {
                    "model": name,
                    "tokens": token_count(lens, text),
                    "pointed to shown": shown,
                    "two frames": frames,
                    "shown ÷ two frames": shown / frames,
                }


@torch.inference_mode()
def typing(names: list[str], lengths: list[int], times: int) -> Iterator[dict[str, Any]]:
    """A row for each model and length: seconds from a new text, given with Enter, to all of its figures."""
    with serve() as ours, chromium() as browser:
        for name in names:
            lens: Any = model.load(name, "cpu")
            pages = {}
            for wished in lengths:
                text = text_of_length(lens, wished, first=times)
                pages[wished] = open_page(
                    browser, ours, model=name, device="cpu", text=text, **forced_output(lens, text)
                )

            def typed(wished: int, text: str, pages: dict[int, Page] = pages) -> float:
                page = pages[wished]
                page.bring_to_front()
                page.locator(".st-key-text textarea").fill(text)
                page.evaluate(TYPED)
                page.keyboard.press("Enter")
                seconds: float = page.evaluate("window.typed")
                settle(page)
                return seconds

            for row in beyond_forward(name, lens, lengths, times, "typed to drawn", typed):
                yield {"model": name} | row
            for page in pages.values():
                page.close()


def cold(times: int) -> Iterator[dict[str, Any]]:
    """Seconds from the command to what is seen, ours and a hello-world that imports torch, in turns."""
    seen = {
        "app.py": {"frame": ["h1", ""], "all": [PICTURE, ""], "all figures": [DRAWN, ""]},
        "tests/bench/hello.py": {"frame": ["h1", ""], "all": ["p", "is here"], "all figures": ["p", "is here"]},
    }
    with chromium() as browser:
        for turn in range(times):
            for script, marks in seen.items():
                start = time.perf_counter()
                with running(script) as (address, _):
                    row = dict[str, Any](turn=turn, app=script)
                    for visit in ("first", "second"):
                        page = browser.new_page(viewport={"width": 1280, "height": 800})
                        page.goto(f"{address}/heads")
                        for what, mark in marks.items():
                            page.wait_for_function(SEEN, arg=mark, timeout=120_000)
                            row[f"{visit} visit, {what}"] = time.perf_counter() - start
                        page.close()
                        start = time.perf_counter()
                yield row
