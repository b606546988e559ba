"""A reader who waits for others' long texts presses Cancel: in a page, and in a piece of it that runs alone."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.driving import needs_chromium, open_at, visit
from tests.serving import serve, settle

LONG = ("the red car stopped near the old house and " * 12).strip()


@needs_chromium
def test_a_wait_is_cancelled_and_what_was_typed_stays(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = tmp_path / "held"
    held.touch()
    monkeypatch.setenv("HELD_BY", str(held))
    monkeypatch.setenv("HEADLIGHT_SESSIONS", "2")
    with serve("tests/browser/held_app.py") as address:
        path = f"heads?text={quote(LONG)}"
        with visit(browser, address, path, shows=".st-key-wait_cancel button") as visited:
            page = visited.page
            expect(page.locator(".st-key-wait")).to_contain_text("Waiting for your turn")
            page.locator(".st-key-wait_cancel button").click()
            expect(page.get_by_text("Cancelled. What you typed is still there.")).to_be_visible(timeout=30_000)
            expect(page.locator(".st-key-sentence textarea")).to_have_value(LONG)
            expect(page.locator(".st-key-wait")).to_have_count(0)
            with visit(browser, address) as short:  # a short text waits for nobody
                expect(short.page.locator(".st-key-wait")).to_have_count(0)
                expect_full(browser, address)
            held.unlink()
            page.locator(".st-key-wait_go_on button").click()
            page.locator(".st-key-heatmap .main-svg").first.wait_for(timeout=90_000)
            assert page.get_by_text("Cancelled. What you typed").count() == 0
            settle(page)
            held.touch()  # and now a piece of the page alone waits
            while not held.with_name("has").exists():
                page.wait_for_timeout(50)
            page.keyboard.press("ArrowRight")
            page.locator(".st-key-wait_cancel button").click(timeout=60_000)
            expect(page.get_by_text("Cancelled. What you typed is still there.")).to_be_visible(timeout=30_000)
            expect(page.locator(".st-key-sentence textarea")).to_have_value(LONG)


def expect_full(browser: Browser, address: str) -> None:
    """The server takes no third browser, until one of the two has left: the test's other half."""
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(f"{address}/heads")
        expect(page.get_by_text("This server is full: 2 browsers are connected")).to_be_visible(timeout=60_000)
        expect(page.locator(".st-key-limits_again button")).to_be_visible()
        expect(page.locator(".st-key-sentence")).to_have_count(0)


@needs_chromium
def test_a_browser_that_leaves_makes_room(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADLIGHT_SESSIONS", "1")
    with serve() as address, browser.new_context() as context:
        first = context.new_page()
        open_at(first, f"{address}/heads")
        second = context.new_page()
        second.goto(f"{address}/heads")
        expect(second.get_by_text("This server is full: 1 browser")).to_be_visible(timeout=60_000)
        first.close()
        again = second.locator(".st-key-limits_again button")
        for _ in range(20):
            if not again.count():
                break
            again.click()
            second.wait_for_timeout(1000)
        second.locator(".st-key-heatmap .main-svg").first.wait_for(timeout=90_000)
