"""The app, served on a free port, and Chromium to look at it. `python -m tests.serving` makes the README's picture."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, expect, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]


@contextmanager
def serve(script: str = "app.py", *options: str) -> Iterator[str]:
    """Run the app, or another one; yields the address of its server. options: of Streamlit's command"""
    with running(script, *options) as (address, _):
        yield address


@contextmanager
def running(script: str, *options: str) -> Iterator[tuple[str, int]]:
    """Run an app; yields its address and the number of its process. It does not look for changes of its files."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", script, "--server.headless", "true"]
    command += [
        "--server.address",
        "127.0.0.1",
        "--server.port",
        str(port),
        "--server.fileWatcherType",
        "none",
        *options,
    ]
    server = subprocess.Popen(command, env=os.environ | {"OMP_WAIT_POLICY": "PASSIVE"})
    try:
        for _ in range(1200):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=1)
                break
            except urllib.error.HTTPError:  # it listens, below a path
                break
            except OSError:
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}", server.pid
    finally:
        server.terminate()
        server.wait(20)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless browser."""
    assert CHROMIUM, "Chromium is missing: install Debian's package chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


def settle(page: Page) -> None:
    """Wait until the app has drawn what it was asked for."""
    page.wait_for_timeout(400)
    expect(page.locator("[data-testid=stApp][data-test-script-state=notRunning]")).to_be_visible(timeout=90_000)
    page.wait_for_timeout(400)


if __name__ == "__main__":
    with serve() as address, chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.add_init_script("localStorage.setItem('headlight-tour', '1')")  # no offer of the tour in the picture
        page.goto(address)
        page.locator(".st-key-whole .main-svg").first.wait_for(timeout=60_000)
        settle(page)
        for _ in range(11):  # as far as the decoder's look at the sentence, which the panel then shows large
            page.keyboard.press("ArrowRight")
        page.screenshot(path="assets/screenshot.png")
