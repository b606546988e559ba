"""The desktop app, `python app.py`: a window of its own, and a server on the loopback address that ends with it."""

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
# Server and window are subprocesses that exit when their standard input is closed, so they end even if this process is
# killed, and a crash of the window library ends nothing else.
EXIT_WITH_PARENT = """
import os, sys, threading
threading.Thread(target=lambda: (os.read(0, 1), os._exit(0)), daemon=True).start()
"""
SERVER = (
    EXIT_WITH_PARENT
    + """
from streamlit.web.cli import main
main(prog_name="streamlit")
"""
)
WINDOW = (
    EXIT_WITH_PARENT
    + """
import webview
webview.settings["ALLOW_DOWNLOADS"] = True  # figures can be saved
webview.create_window("Headlight", sys.argv[1], width=1280, height=860)
webview.start()
"""
)
START_TIMEOUT = 120  # seconds; reading PyTorch from a slow disk takes long


class NoWindowError(RuntimeError):
    """There is no window system, or no library that opens windows; the message says which."""


def main(open_window: Callable[[str], None] | None = None) -> int:
    """Exit status of the app: starts the server, shows it in a window, and ends it when the window is closed.

    Args:
        open_window: opens a window on an address and returns when it is closed; None for `window`.

    Returns:
        0, or 1 where the server did not start.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # `finally` blocks run, so the server ends too
    try:
        with running_server() as (address, process):
            try:
                (open_window or window)(address)
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
def running_server() -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Address and process of a server on a free port of the loopback address; terminated when the block ends.

    Raises:
        OSError: the server ended, or did not respond within `START_TIMEOUT`.
    """
    port = free_port()
    command = [sys.executable, "-c", SERVER, "run", str(APP), "--server.headless", "true"]
    command += ["--server.address", LOOPBACK, "--server.port", str(port), "--server.fileWatcherType", "none"]
    process = subprocess.Popen(command, cwd=APP.parent, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    address = f"http://{LOOPBACK}:{port}"
    try:
        wait_until_ready(address, process)
        yield address, process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    """A port of the loopback address that is not in use."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
    return port


def wait_until_ready(address: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until the server responds.

    Raises:
        OSError: it ended, or did not respond within `START_TIMEOUT`.
    """
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy cannot reach the loopback address
    for _ in range(4 * START_TIMEOUT):
        if process.poll() is not None:
            raise OSError(f"the server ended with status {process.returncode}")
        try:
            opener.open(f"{address}/_stcore/health", timeout=2).close()
            return
        except OSError:
            time.sleep(0.25)
    raise OSError(f"the server did not answer within {START_TIMEOUT} seconds")


def window(address: str) -> None:
    """Show an address in a window of pywebview; returns when the window is closed.

    Raises:
        NoWindowError: there is no window system, pywebview is missing, or the window's process failed.
    """
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise NoWindowError("There is no window system here.")
    if importlib.util.find_spec("webview") is None:
        raise NoWindowError(
            "Windows are opened by pywebview, which is missing: pip install -r requirements-desktop.txt"
        )
    process = subprocess.Popen([sys.executable, "-c", WINDOW, address], stdin=subprocess.PIPE)
    try:
        if process.wait():
            raise NoWindowError("No window could be opened; the lines above say why.")
    finally:
        process.kill()
