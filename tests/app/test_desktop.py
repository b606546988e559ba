"""`desktop.py`: the server listens on loopback only, ends with the window, and errors without a window are messages."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import desktop

# Run beside the window: prints the page's title once it is drawn, then closes the window.
READ_TITLE = """
import threading, time
def read_title():
    import webview
    while not webview.windows:
        time.sleep(0.1)
    window = webview.windows[0]
    window.events.loaded.wait(60)
    for _ in range(120):
        title = window.evaluate_js("document.querySelector('h1') && document.querySelector('h1').innerText")
        if title:
            break
        time.sleep(0.5)
    print("TITLE", title, flush=True)
    window.destroy()
threading.Thread(target=read_title, daemon=True).start()
"""


def answers(address: str) -> bool:
    try:
        return urllib.request.urlopen(f"{address}/_stcore/health", timeout=5).read() == b"ok"
    except OSError:
        return False


def test_the_window_shows_the_app_and_the_server_ends_with_it() -> None:
    seen = []

    def window(address: str) -> None:
        assert urlsplit(address).hostname == "127.0.0.1"
        assert answers(address)
        seen.append(address)
        # No connection is accepted on this computer's addresses that others can reach.
        for family, *_, place in socket.getaddrinfo(
            socket.gethostname(), urlsplit(address).port, type=socket.SOCK_STREAM
        ):
            if family == socket.AF_INET and not place[0].startswith("127."):
                with pytest.raises(OSError, match="refused"):
                    socket.create_connection(place[:2], timeout=5)

    assert desktop.main(window) == 0
    assert len(seen) == 1
    assert not answers(seen[0])


def test_the_server_listens_on_loopback_only() -> None:
    if not Path("/proc/net/tcp").exists():
        pytest.skip("only Linux lists its listening sockets in a file")

    def window(address: str) -> None:
        port = f":{urlsplit(address).port:04X}"
        lines = [line.split() for file in ("tcp", "tcp6") for line in Path("/proc/net", file).read_text().splitlines()]
        listening = [local for _, local, _, state, *_ in lines[1:] if local.endswith(port) and state == "0A"]
        assert listening == [f"0100007F{port}"]  # 127.0.0.1, as the kernel writes it

    assert desktop.main(window) == 0


def test_the_server_ends_where_the_window_fails() -> None:
    seen = []

    def window(address: str) -> None:
        seen.append(address)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        desktop.main(window)
    assert not answers(seen[0])


def test_a_server_that_does_not_start_is_said(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(desktop, "SERVER", "raise SystemExit(3)")
    assert desktop.main(lambda address: None) == 1
    assert "ended with status 3" in capfd.readouterr().err


def test_two_at_once_have_ports_of_their_own() -> None:
    assert len({desktop.free_port() for _ in range(5)}) > 1


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_without_a_window_system_it_says_so_and_prints_the_address(end: signal.Signals) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("other systems always have a window system")
    bare = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    # Background processes of a shell ignore SIGINT, and the tests may be one.
    handle_sigint = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    command = [sys.executable, "app.py"]
    process = subprocess.Popen(command, env=bare, stdout=subprocess.PIPE, text=True, preexec_fn=handle_sigint)
    assert process.stdout
    try:
        assert process.stdout.readline().strip() == "There is no window system here."
        address = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
        assert address
        assert answers(address[0])
    finally:
        process.send_signal(end)
        process.wait(20)
    for _ in range(50):
        if not answers(address[0]):
            break
        time.sleep(0.2)
    assert not answers(address[0])  # also after SIGKILL, which the launcher cannot handle


def test_what_a_window_needs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(desktop.NoWindowError, match=r"requirements-desktop\.txt"):
        desktop.window("http://127.0.0.1:1")


def test_a_window_library_that_crashes_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(desktop, "WINDOW", "import os; os.abort()")
    with pytest.raises(desktop.NoWindowError, match="lines above"):
        desktop.window("http://127.0.0.1:1")


@pytest.mark.skipif(
    importlib.util.find_spec("webview") is None or shutil.which("xvfb-run") is None,
    reason="needs requirements-desktop.txt and a virtual display (Debian: apt-get install xvfb libxcb-cursor0)",
)
def test_a_real_window_on_a_virtual_display() -> None:
    script = f"import desktop; desktop.WINDOW = {READ_TITLE!r} + desktop.WINDOW; raise SystemExit(desktop.main())"
    command = ["xvfb-run", "--auto-servernum", sys.executable, "-c", script]
    # Qt's browser refuses to run as root with its sandbox; it shows this app only.
    done = subprocess.run(
        command, env=os.environ | {"QTWEBENGINE_DISABLE_SANDBOX": "1"}, capture_output=True, text=True, timeout=180
    )
    assert "TITLE The whole model" in done.stdout, done.stderr[-2000:]
    assert "No window could be opened" not in done.stdout
    assert done.returncode == 0
