"""What the app does in bare surroundings: `python -m tests.hostile.surroundings FOLDER [full] [sealed]`, in a child.

Prints a line of JSON for each thing that was tried. FOLDER has a GGUF file, and a file to fetch. With `full`, no file
takes a byte any more, as on a full disk; with `sealed`, nothing is written into the checkout.
"""

from __future__ import annotations

import errno
import functools
import http.server
import json
import os
import resource
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from streamlit.testing.v1 import AppTest

import model
from model.catalog import fetching
from model.catalog.downloads.plan import Plan, RemoteFile
from model.errors import ModelError
from model.libraries import runner
from model.libraries.script import formula_inputs
from tests.app.driving import APP, go_to
from viz.figures.theme import LIGHT
from viz.saving import handout
from viz.saving.still_image import still_image

PAGES = ("heads", "whole", "compare", "inside", "code")


def page(app: AppTest, name: str) -> str:
    go_to(app, name)
    assert not app.exception
    assert not app.error, [one.value for one in app.error]
    figures = [one.figure for one in app.session_state["drawn"].values()]
    for form in ("png", "svg"):
        assert all(still_image(figure, LIGHT.page, form) for figure in figures)
    assert handout.pdf(name, [(figure, "") for figure in figures[:1]], [("a", "b")], "b", LIGHT)
    return f"{len(figures)} figures"


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files, and writes nothing of it anywhere."""

    def log_message(self, *_: object) -> None:
        pass


def download(folder: Path) -> str:
    serve = functools.partial(Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        file = folder / "fetched.bin"
        address = f"http://127.0.0.1:{server.server_port}/{file.name}"
        remote = RemoteFile(file.name, address, file.stat().st_size, "sha256:" + "0" * 64)
        try:
            return str(fetching.fetch(Plan("somebody/tiny", "here", (remote,)), lambda *_: None))
        finally:
            server.shutdown()


def library() -> str:
    trace = model.load("en-fr", "cpu").trace("I see.")
    return runner.run("tensorflow", "formula", vars(formula_inputs(trace.attentions["cross"], 0))).versions


def seal(checkout: Path) -> None:
    """Let nothing be written into a folder from now on, as on a disk that is only read (permissions stop no root)."""
    writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = args
            changed = [path] if isinstance(flags, int) and flags & writing else []
        elif event in ("os.mkdir", "os.remove", "os.rmdir"):
            changed = [args[0]] if args[-1] == -1 else []  # else a name within an open folder
        else:
            changed = [*args[:2]] if event in ("os.rename", "os.link", "os.symlink") else []
        for path in changed:
            if isinstance(path, (str, bytes, os.PathLike)) and Path(os.fsdecode(path)).absolute().is_relative_to(
                checkout
            ):
                raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)

    sys.addaudithook(hook)


def write_beside_the_app() -> str:
    try:
        (APP.parent / "written.txt").write_text("x")
    except OSError as error:
        raise ModelError("written", "It cannot be written to.") from error
    return "written"


def tried(name: str, do: Callable[[], str]) -> None:
    try:
        said, ended = do(), "done"
    except (ModelError, runner.LibraryError) as error:
        said, ended = str(error), "refused"
    except BaseException as error:
        said, ended = f"{type(error).__name__}: {error}", "failed"
    print(json.dumps({"tried": name, "ended": ended, "said": said}), flush=True)


def main() -> None:
    folder = Path(sys.argv[1])
    if "full" in sys.argv[2:]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    if "sealed" in sys.argv[2:]:
        seal(APP.parent)
        tried("checkout", write_beside_the_app)
    app = AppTest.from_file(str(APP), default_timeout=240)
    for name in PAGES:
        tried(name, functools.partial(page, app, name))
    tried("download", functools.partial(download, folder))
    tried("gguf", lambda: type(model.load(str(folder / "model.gguf"), "cpu")).__name__)
    tried("library", library)


if __name__ == "__main__":
    main()
