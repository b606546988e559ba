"""What the script and the style sheet in the served page do: no request goes astray, Back leads where the reader was,
and nothing is drawn unstyled.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.driving import DESKTOP, PATIENCE, PHONE, go, needs_chromium, open_at, visit
from tests.serving import serve, settle

LESSON = "?lesson=04-one-head&lesson_step=2&language=en"


@pytest.fixture(scope="module", params=["app.py", "server.py", "below"])
def served(request: pytest.FixtureRequest, address: str) -> Iterator[str]:
    """The app as one starts it, as a class gets it, and below a path."""
    with ExitStack() as stack:
        if request.param == "app.py":
            yield address
        elif request.param == "server.py":
            yield stack.enter_context(serve("server.py"))
        else:
            yield stack.enter_context(serve("app.py", "--server.baseUrlPath", "school/headlight")) + "/school/headlight"


@needs_chromium
def test_a_page_opened_directly_asks_for_nothing_that_is_not_there(served: str, browser: Browser) -> None:
    failed: list[str] = []
    with browser.new_context() as context:
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        page.on("response", lambda answer: failed.append(answer.url) if answer.status >= 400 else None)
        for name in ("heads", "", "lessons"):
            page.goto(f"{served}/{name}")
            page.locator("h1").first.wait_for()
            settle(page)
            assert page.url.split("?")[0] == f"{served}/{name}"
        go(page, "See", "Heads")
        assert page.url.startswith(f"{served}/heads")
    assert not failed


@needs_chromium
@pytest.mark.parametrize(("scheme", "paper", "rule"), [("light", "#fdfcf9", "#c9c4b8"), ("dark", "#10151d", "#3d4654")])
def test_a_page_is_styled_while_the_server_says_nothing(
    served: str, browser: Browser, scheme: Literal["light", "dark"], paper: str, rule: str
) -> None:
    with browser.new_context(color_scheme=scheme) as context:
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        page.route_web_socket(re.compile("_stcore/stream"), lambda _: None)
        page.goto(f"{served}/heads")
        named = "name => getComputedStyle(document.documentElement).getPropertyValue('--' + name)"
        assert [page.evaluate(named, name) for name in ("paper", "rule", "bar")] == [paper, rule, "3.5rem"]
        expect(page.get_by_test_id("stHeader")).to_have_css("height", "56px")
        # What a run would send: it looks as it will.
        page.evaluate("document.body.insertAdjacentHTML('beforeend', '<div class=tokens>The cat</div>')")
        expect(page.locator(".tokens")).to_have_css("display", "flex")
        waits = "<div data-testid=stSpinner>Asking</div><div class=st-key-wait>Working</div>"
        page.evaluate("waits => document.body.insertAdjacentHTML('beforeend', waits)", waits)
        expect(page.locator(".st-key-wait")).to_be_visible()
        expect(page.get_by_test_id("stSpinner")).to_be_hidden()


@needs_chromium
def test_what_is_drawn_first_has_its_style(address: str, browser: Browser) -> None:
    first = """new MutationObserver(() => {
      const title = document.querySelector("[data-testid=stMain] h1")
      window.atFirst ??= title && [getComputedStyle(title).fontSize, title.getBoundingClientRect().top < innerHeight]
    }).observe(document, { childList: true, subtree: true })"""
    with browser.new_context(viewport=DESKTOP) as context:
        context.set_default_timeout(PATIENCE)
        context.add_init_script(first)
        page = context.new_page()
        page.goto(f"{address}/heads")
        page.locator("h1").first.wait_for()
        assert page.evaluate("window.atFirst") == ["20px", True]


@needs_chromium
@pytest.mark.parametrize(
    ("name", "size"), [("", PHONE), ("heads", DESKTOP), ("heads", PHONE), ("masks", PHONE), ("output", DESKTOP)]
)
def test_the_title_stays_where_it_first_shows(address: str, browser: Browser, name: str, size: dict[str, int]) -> None:
    look = """(() => {
      window.tops = []
      const look = () => {
        const top = document.querySelector("[data-testid=stMain] h1")?.getBoundingClientRect().top
        if (top !== undefined && !(Math.abs(window.tops.at(-1) - top) < 0.7)) window.tops.push(top)
        requestAnimationFrame(look)
      }
      look()
    })()"""
    with browser.new_context(viewport=size, has_touch=size is PHONE, is_mobile=size is PHONE) as context:
        context.set_default_timeout(PATIENCE)
        context.add_init_script(look)
        page = context.new_page()
        # Streamlit fetches each sort of widget as it is first drawn; until then a grey box stands there.
        page.route("**/static/js/[A-Z]*.js", lambda route: (time.sleep(0.05), route.continue_()))
        page.goto(f"{address}/{name}")
        page.locator("[data-testid=stMain] .main-svg").first.wait_for()
        settle(page)
        assert len(page.evaluate("window.tops")) == 1, page.evaluate("window.tops")


def entries(page: Page) -> int:
    count: int = page.evaluate("history.length")
    return count


@needs_chromium
@pytest.mark.parametrize("path", [f"heads{LESSON}", LESSON, "?kind=encoder&layer=1&head=2", "heads?text=I+see.&head=3"])
def test_a_link_leaves_one_entry_and_one_back_leaves_the_app(address: str, browser: Browser, path: str) -> None:
    with browser.new_context() as context:
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        page.goto("about:blank")
        before = entries(page)
        open_at(page, f"{address}/{path}", ".js-plotly-plot")
        assert entries(page) == before + 1
        page.go_back()
        assert page.url == "about:blank"


@needs_chromium
def test_back_leads_to_the_page_that_the_reader_left(address: str, browser: Browser) -> None:
    with visit(browser, address) as visited:
        page = visited.page
        before = entries(page)
        go(page, "See", "Layers")
        assert entries(page) == before + 1
        page.go_back()
        settle(page)
        assert "/heads" in page.url
