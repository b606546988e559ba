"""What the app does in bare surroundings: `python -m tests.hostile.surroundings FOLDER [full]`, in a child.

Prints a line of JSON for each thing that was tried. FOLDER has a GGUF file, and a file to fetch. With `full`, no file
takes a byte any more, as on a full disk.
"""

from __future__ import annotations

import functools
import http.server
import json
import resource
import sys
import threading
from collections.abc import Callable
from pathlib import Path

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
    app = AppTest.from_file(str(APP), default_timeout=240)
    for name in PAGES:
        tried(name, functools.partial(page, app, name))
    tried("download", functools.partial(download, folder))
    tried("gguf", lambda: type(model.load(str(folder / "model.gguf"), "cpu")).__name__)
    tried("library", library)


if __name__ == "__main__":
    main()
