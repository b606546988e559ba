"""The app in a window of its own: `python app.py`. Its server is reached from this computer alone, and ends with it."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

APP = Path(__file__).with_name("app.py")
LOOPBACK = "127.0.0.1"
# Server and window are processes of their own, which end with the end of their input: so they end with us even where
# we are killed, and a window library that crashes takes nothing with it.
TIED = """
import os, sys, threading
threading.Thread(target=lambda: (os.read(0, 1), os._exit(0)), daemon=True).start()
"""
SERVER = (
    TIED
    + """
from streamlit.web.cli import main
main(prog_name="streamlit")
"""
)
WINDOW = (
    TIED
    + """
import webview
webview.settings["ALLOW_DOWNLOADS"] = True  # figures can be saved
webview.create_window("Headlight", sys.argv[1], width=1280, height=860)
webview.start()
"""
)
WAIT = 120  # seconds; a slow disk reads PyTorch for a while


class NoWindowError(RuntimeError):
    """There is no window system, or nothing that can open a window in it; the message says which."""


def main(show: Callable[[str], None] | None = None) -> int:
    """Start the server, show it in a window, and end it when the window closes.

    Args:
        show: opens a window on an address and returns when it was closed; pywebview's where none is given.

    Returns:
        Exit status: 0, or 1 where the server did not start.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that the server ends with us, however we are ended
    try:
        with server() as (address, process):
            try:
                (show or window)(address)
            except NoWindowError as error:
                print(f"{error}\nHeadlight runs at {address} - open it in a browser. Ctrl+C ends it.", flush=True)
                process.wait()
    except KeyboardInterrupt:
        pass
    except OSError as error:
        print(f"Headlight did not start: {error}", file=sys.stderr)
        return 1
    return 0


@contextmanager
def server() -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The app on a free port that only this computer can reach; ended at the end, whatever happens.

    Raises:
        OSError: it did not answer.
    """
    port = free_port()
    command = [sys.executable, "-c", SERVER, "run", str(APP), "--server.headless", "true"]
    command += ["--server.address", LOOPBACK, "--server.port", str(port), "--server.fileWatcherType", "none"]
    process = subprocess.Popen(command, cwd=APP.parent, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    address = f"http://{LOOPBACK}:{port}"
    try:
        wait_for(address, process)
        yield address, process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
    return port


def wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    """Return when the server answers.

    Raises:
        OSError: it ended, or said nothing for two minutes.
    """
    ask = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a school's proxy cannot know this address
    for _ in range(4 * WAIT):
        if process.poll() is not None:
            raise OSError(f"the server ended with status {process.returncode}")
        try:
            ask.open(f"{address}/_stcore/health", timeout=2).close()
            return
        except OSError:
            time.sleep(0.25)
    raise OSError(f"the server did not answer within {WAIT} seconds")


def window(address: str) -> None:
    """A window on an address, until it is closed.

    Raises:
        NoWindowError: there is no window system, or no library to open a window.
    """
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise NoWindowError("There is no window system here.")
    if importlib.util.find_spec("webview") is None:
        raise NoWindowError(
            "Windows are opened by pywebview, which is missing: pip install -r requirements-desktop.txt"
        )
    opened = subprocess.Popen([sys.executable, "-c", WINDOW, address], stdin=subprocess.PIPE)
    try:
        if opened.wait():
            raise NoWindowError("No window could be opened; the lines above say why.")
    finally:
        opened.kill()
