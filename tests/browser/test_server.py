"""The app as a class gets it, `streamlit run server.py`: its headers, its pages under them, and wrong settings."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.driving import needs_chromium
from tests.serving import serve, settle


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with serve("server.py") as found:
        yield found


def test_other_sites_cannot_frame_the_app(address: str) -> None:
    for path in ("/", "/heads", "/_stcore/health"):
        headers = urllib.request.urlopen(address + path).headers
        assert headers["X-Frame-Options"] == "SAMEORIGIN"
        assert "frame-ancestors 'self'" in headers["Content-Security-Policy"]
        assert "default-src 'self'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"


@needs_chromium
def test_pages_work_under_the_rules_and_ask_no_other_site(address: str, browser: Browser) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.goto(f"{address}/heads")
    expect(page.locator(".st-key-heatmap .main-svg").first).to_be_visible(timeout=90_000)
    settle(page)
    page.wait_for_function("typeof document.documentElement.dataset.focus === 'string'", timeout=90_000)
    blocked = [text for text in said if "Content Security Policy" in text and "127.0.0.1" in text]
    assert blocked == []
    page.close()


def test_wrong_settings_end_the_server_with_a_sentence() -> None:
    command = [sys.executable, "-m", "streamlit", "run", "server.py", "--server.headless", "true"]
    command += ["--server.port", "0", "--server.fileWatcherType", "none"]
    wrong = os.environ | {"HEADLIGHT_SESSIONS": "many"}
    ran = subprocess.run(command, env=wrong, capture_output=True, text=True, timeout=60)
    assert ran.returncode
    assert "$HEADLIGHT_SESSIONS cannot be understood" in ran.stderr + ran.stdout
    assert "Traceback" not in ran.stderr + ran.stdout
