"""Two servers behind nginx: when one is killed, the page reconnects to the other with its state."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psutil
import pytest
from playwright.sync_api import Browser, Page

from model.trace.edits import Edits
from tests.browser.driving import click_at, needs_chromium, open_at, row_at, shown, tile_at, type_sentence
from tests.serving import running, settle

NGINX = shutil.which("nginx", path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin")
CONFIGURATION = Path("assets/nginx.conf")
pytestmark = [
    pytest.mark.skipif(
        NGINX is None and "CI" not in os.environ, reason="nginx is missing: install Debian's package nginx-light"
    ),
    needs_chromium,
]


@dataclass(frozen=True)
class Balanced:
    """nginx in front of two servers.

    Attributes:
        address: of nginx; servers: port -> process.
    """

    address: str
    servers: dict[int, psutil.Process]

    def connected_ports(self) -> list[int]:
        """Ports of the servers with an open connection."""
        ports = []
        for port, process in self.servers.items():
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                ends = [c for c in process.net_connections("tcp") if c.laddr and c.laddr.port == port and c.raddr]
                ports += [port for c in ends if c.status == psutil.CONN_ESTABLISHED]
        return ports


@pytest.fixture
def balanced() -> Iterator[Balanced]:
    with ExitStack() as stack:
        servers = {}
        for _ in range(2):
            address, process = stack.enter_context(running("app.py"))
            servers[int(address.rpartition(":")[2])] = psutil.Process(process)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            front = probe.getsockname()[1]
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hl")))
        site = CONFIGURATION.read_text(encoding="utf-8")
        changes = {"listen 80;": f"listen 127.0.0.1:{front};"}
        changes |= {f"127.0.0.1:{8501 + i} ": f"127.0.0.1:{port} " for i, port in enumerate(servers)}
        for old, new in changes.items():
            assert site.count(old) == 1
            site = site.replace(old, new)
        paths = "\n".join(f"{name}_temp_path {folder}/{name};" for name in TEMPORARY)
        Path(folder, "nginx.conf").write_text(
            f"daemon off; pid {folder}/pid; error_log {folder}/error.log;\nevents {{}}\n"
            f"http {{\naccess_log off;\n{paths}\n{site}\n}}\n",
            encoding="utf-8",
        )
        assert NGINX
        proxy = subprocess.Popen([NGINX, "-p", str(folder), "-c", f"{folder}/nginx.conf", "-e", f"{folder}/error.log"])
        stack.callback(proxy.wait, 20)
        stack.callback(proxy.terminate)
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", front)) == 0:
                    break
            time.sleep(0.05)
        yield Balanced(f"http://127.0.0.1:{front}", servers)


CHANGED = Edits(heads={("encoder", 0, 0): 0.0})
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def page_state(page: Page) -> dict[str, Any]:
    """What is on the page: sentence, output, kind, head and row with their numbers, and the lines."""
    settle(page)
    return shown(page) | {
        "lines": page.locator(".st-key-lines .plot-container").first.inner_text(),
        "text": page.locator(".st-key-sentence textarea").input_value(),
        "output": page.locator(".st-key-output .tokens").inner_text(),
        "kind": page.locator(".st-key-kind").get_by_role("radio", checked=True).inner_text(),
    }


def test_a_browser_stays_with_one_server_and_browsers_are_spread(balanced: Balanced) -> None:
    cookies = {urllib.request.urlopen(balanced.address, timeout=20).headers["Set-Cookie"] for _ in range(8)}
    assert len({cookie.split(";")[0] for cookie in cookies}) == 8
    assert urllib.request.urlopen(f"{balanced.address}/_stcore/health", timeout=20).read() == b"ok"


def test_one_server_is_killed_and_the_page_goes_on_at_the_other(balanced: Balanced, browser: Browser) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    open_at(page, f"{balanced.address}/heads?{urlencode({'edits': CHANGED.text()})}")
    type_sentence(page, "She sees the sea.")
    page.locator(".st-key-kind").get_by_role("radio", name="encoder").click()
    settle(page)
    click_at(page, tile_at(page, 2, 6))
    click_at(page, row_at(page, 3))
    page.mouse.move(640, 4)
    before, link = page_state(page), page.url
    assert before["text"] == "She sees the sea."
    assert (before["kind"], before["layer"], before["head"], before["row"]) == ("encoder", 2, 6, 3)
    assert "edits=" in link
    (at,) = set(balanced.connected_ports())
    balanced.servers[at].kill()
    killed = time.monotonic()
    (other,) = set(balanced.servers) - {at}
    while balanced.connected_ports() != [other]:
        assert time.monotonic() - killed < 60, "the browser did not connect to the other server"
        page.wait_for_timeout(100)
    connected = time.monotonic() - killed
    page.locator("[data-testid=stConnectionStatus]").wait_for(state="detached", timeout=60_000)
    after = page_state(page)
    print(f"connected after {connected:.1f} s, drawn after {time.monotonic() - killed:.1f} s")
    assert after == before
    assert page.url == link
    assert page.locator("[data-testid=stAlert]").count() == 0
    # The page is live, not left over: the other server answers the next click.
    click_at(page, tile_at(page, 2, 3))
    assert page_state(page)["head"] == 3
    assert page_state(page)["weights"] != before["weights"]
