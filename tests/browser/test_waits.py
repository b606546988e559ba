"""A class on one server: a wait for others' long texts is cancelled, and a server takes as many browsers as it may."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.driving import needs_chromium, visit
from tests.serving import serve, settle

LONG = ("the red car stopped near the old house and " * 12).strip()
CANCELLED = "Cancelled. What you typed is still there."


def cancel(page: Page) -> None:
    """Press Cancel beside what is waited for; what was typed stays."""
    button = page.locator(".st-key-wait_cancel button")
    button.wait_for(timeout=60_000)
    expect(page.locator(".st-key-wait")).to_contain_text("Waiting for your turn")
    button.click()
    expect(page.get_by_text(CANCELLED)).to_be_visible(timeout=30_000)
    expect(page.locator(".st-key-sentence textarea")).to_have_value(LONG)
    expect(page.locator(".st-key-wait")).to_have_count(0)


@needs_chromium
def test_a_wait_is_cancelled_and_a_server_that_is_full_says_so(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, has = tmp_path / "held", tmp_path / "has"

    def hold(page: Page) -> None:
        held.touch()
        while not has.exists():
            page.wait_for_timeout(50)

    monkeypatch.setenv("HELD_BY", str(held))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent / "held"))
    monkeypatch.setenv("HEADLIGHT_SESSIONS", "2")
    with serve() as address, browser.new_context() as others:
        with visit(browser, address) as short:
            hold(short.page)
            with visit(browser, address, f"heads?text={quote(LONG)}", shows=".st-key-wait_cancel button") as visited:
                page = visited.page
                cancel(page)
                short.page.keyboard.press("ArrowRight")  # a short text waits for nobody
                settle(short.page)
                third = others.new_page()
                third.goto(f"{address}/heads")
                expect(third.get_by_text("This server is full: 2 browsers are connected")).to_be_visible(timeout=60_000)
                expect(third.locator(".st-key-sentence")).to_have_count(0)
                held.unlink()
                page.locator(".st-key-wait_go_on button").click()
                page.locator(".st-key-heatmap .main-svg").first.wait_for(timeout=90_000)
                expect(page.get_by_text(CANCELLED)).to_have_count(0)
                settle(page)
                hold(page)
                page.keyboard.press("ArrowRight")  # and now a piece of the page alone waits
                cancel(page)
        again = third.locator(".st-key-limits_again button")  # who leaves makes room
        while again.count():
            again.click(timeout=30_000)
            settle(third)
        third.locator(".st-key-heatmap .main-svg").first.wait_for(timeout=90_000)
        held.unlink()
