"""What the script at the head of the served page does: no request goes astray, and Back leads where the reader was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.driving import PATIENCE, go, needs_chromium, open_at, visit
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
