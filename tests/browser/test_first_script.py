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

from tests.browser.driving import DESKTOP, PHONE, blank_page, go, needs_chromium, open_at, visit
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
    with blank_page(browser, served) as page:
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
def test_a_page_is_styled_while_the_server_says_nothing(served: str, browser: Browser) -> None:
    with blank_page(browser, served, kept=False) as page:
        page.route_web_socket(re.compile("_stcore/stream"), lambda _: None)
        styled(page, served, "light", "#fdfcf9", "#c9c4b8")
        styled(page, served, "dark", "#10151d", "#3d4654")


def styled(page: Page, served: str, scheme: Literal["light", "dark"], paper: str, rule: str) -> None:
    """Open Heads in a theme, and find its colours and rules."""
    page.emulate_media(color_scheme=scheme)
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


WIDGETS = re.compile(r"/static/js/[A-Z][^/]*\.js")
LOOK = """(() => {
  window.tops = []
  const look = () => {
    const top = document.querySelector("[data-testid=stMain] h1")?.getBoundingClientRect().top
    if (top !== undefined && !(Math.abs(window.tops.at(-1) - top) < 0.7)) window.tops.push(top)
    requestAnimationFrame(look)
  }
  look()
  new MutationObserver(() => {
    const title = document.querySelector("[data-testid=stMain] h1")
    window.atFirst ??= title && [getComputedStyle(title).fontSize, title.getBoundingClientRect().top < innerHeight]
  }).observe(document, { childList: true, subtree: true })
})()"""


@needs_chromium
@pytest.mark.parametrize(("names", "size"), [(("", "heads", "masks"), PHONE), (("heads", "output"), DESKTOP)])
def test_the_title_has_its_style_at_first_and_stays_where_it_shows(
    address: str, browser: Browser, names: tuple[str, ...], size: dict[str, int]
) -> None:
    phone = size is PHONE
    with blank_page(browser, address, kept=False, viewport=size, has_touch=phone, is_mobile=phone) as page:
        page.add_init_script(LOOK)
        # Streamlit fetches each sort of widget as it is first drawn; until then a grey box stands there.
        late: list[str] = []
        page.route(WIDGETS, lambda route: (time.sleep(0.05), late.append(route.request.url), route.continue_()))
        for name in names:
            late.clear()
            page.goto(f"{address}/{name}")
            page.locator("[data-testid=stMain] .main-svg").first.wait_for()
            settle(page)
            assert len(late) > 20, name
            assert len(page.evaluate("window.tops")) == 1, (name, page.evaluate("window.tops"))
            if not phone:
                assert page.evaluate("window.atFirst") == ["20px", True], name


def entries(page: Page) -> int:
    count: int = page.evaluate("history.length")
    return count


@needs_chromium
@pytest.mark.parametrize("path", [f"heads{LESSON}", LESSON, "?kind=encoder&layer=1&head=2", "heads?text=I+see.&head=3"])
def test_a_link_leaves_one_entry_and_one_back_leaves_the_app(address: str, browser: Browser, path: str) -> None:
    with blank_page(browser, address) as page:
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
