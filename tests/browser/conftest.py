"""The served app, started once for all files of a process, and a browser for each file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.driving import Visit, visit
from tests.serving import chromium, serve


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A real browser on a busy machine may miss a moment: what fails here is tried again, twice, before it counts."""
    for item in items:
        if "tests/browser/" in item.path.as_posix():
            item.add_marker(pytest.mark.flaky(reruns=2))


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    with serve() as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium for one file: while Playwright is open its event loop runs, and other files want one of their own."""
    with chromium() as browser:
        yield browser


@pytest.fixture
def visited(address: str, browser: Browser) -> Iterator[Visit]:
    """A visit to Heads; fails on any error in the console, and on any request to elsewhere."""
    with visit(browser, address) as visited:
        yield visited


@pytest.fixture
def page(visited: Visit) -> Page:
    """The page of a visit to Heads."""
    return visited.page
