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
    page.bring_to_front()
    button = page.locator(".st-key-wait_cancel button")
    button.wait_for(timeout=60_000)
    expect(page.locator(".st-key-wait")).to_contain_text("Waiting for your turn")
    # It lies over the page, and pushes nothing down.
    expect(page.locator("[data-testid=stLayoutWrapper]:has(> .st-key-wait)")).to_have_css("position", "absolute")
    button.dispatch_event("click")  # seconds are counted beside it, and a busy machine never lets it rest
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
    # Tabs of one browser, each a session: the scripts come once.
    with serve() as address, visit(browser, address) as short:
        page, third = short.page.context.new_page(), short.page.context.new_page()
        hold(short.page)
        page.goto(f"{address}/heads?text={quote(LONG)}")
        cancel(page)
        short.page.keyboard.press("ArrowRight")  # a short text waits for nobody
        settle(short.page)
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
        page.close()  # who leaves makes room
        again = third.locator(".st-key-limits_again button")
        for _ in range(10):
            if again.count():
                again.click(timeout=30_000)
                settle(third)
        third.locator(".st-key-heatmap .main-svg").first.wait_for(timeout=90_000)
        held.unlink()
