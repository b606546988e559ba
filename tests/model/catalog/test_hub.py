"""The whole way from a hub's name to an opened model, against a small hub of our own on this machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from urllib.parse import unquote, urlsplit

import pytest
from huggingface_hub import constants, file_download
from huggingface_hub.utils import _http

import model
from model.catalog import fetching, store
from model.errors import ModelError
from tests.model.huggingface.test_families import TEXT, build

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(ThreadingHTTPServer):
    """Serves `folder` as somebody/tiny; `cut` files end in the middle."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = folder
        self.cut: set[str] = set()
        self.asked: list[str] = []


class Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.server.asked.append(path)
        folder = self.server.folder
        if "somebody/gated" in path:
            return self.send(403, b"", {"X-Error-Code": "GatedRepo"})
        if "somebody/tiny" not in path:
            return self.send(404, b"", {"X-Error-Code": "RepoNotFound"})
        if "/revision/" in path:
            return self.send(200, json.dumps({"_id": "1", "id": "somebody/tiny", "sha": COMMIT}).encode())
        if "/tree/" in path:
            files = [
                {"type": "file", "oid": "0" * 40, "path": f.name, "size": f.stat().st_size} for f in folder.iterdir()
            ]
            return self.send(200, json.dumps(files).encode())
        file = folder / path.rsplit("/", 1)[1]
        if not file.is_file():
            return self.send(404, b"", {"X-Error-Code": "EntryNotFound"})
        content = file.read_bytes()
        head = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")[0])
        if start:
            head["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        return self.send(206 if start else 200, content[start:], head, cut=file.name in self.server.cut)

    def send(self, status: int, content: bytes, head: dict[str, str] | None = None, cut: bool = False) -> None:
        self.send_response(status)
        for name, value in {**(head or {}), "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content[: len(content) // 2] if cut else content)
        if cut:
            self.close_connection = True


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The hub, with an empty cache."""
    (tmp_path / "served").mkdir()
    build("bert", tmp_path / "served")
    (tmp_path / "served" / "modeling.py").write_text("raise SystemExit('code from the hub was run')")
    server = Hub(tmp_path / "served")
    Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HEADLIGHT_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(file_download.time, "sleep", lambda seconds: None)  # the client waits between its attempts
    _http.close_session()
    yield server
    server.shutdown()
    server.server_close()
    _http.close_session()


def test_a_model_is_fetched_opened_and_found_again_without_network(hub: Hub) -> None:
    seen: list[tuple[float, str]] = []
    lens = model.load("somebody/tiny", "cpu", lambda share, what: seen.append((share, what)))
    assert lens.trace(TEXT).verify().ok
    shares = [share for share, _ in seen]
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert shares[-1] == 1
    assert not any(path.endswith(".py") for path in hub.asked)
    hub.asked.clear()
    folder = store.local_folder("somebody/tiny")
    assert folder is not None
    assert not [*folder.glob("*.py")]
    assert model.load("somebody/tiny", "cpu").trace(TEXT).verify().ok
    assert hub.asked == []


def test_progress_counts_bytes(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Handler.send

    def slow(self: Handler, *args: object, **options: object) -> None:
        if self.path.endswith(".safetensors"):
            Event().wait(0.5)
        real(self, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Handler, "send", slow)
    seen: list[tuple[float, str]] = []
    fetching.find_or_fetch("somebody/tiny", lambda share, what: seen.append((share, what)))
    assert any(0 < share < 1 and "MB" in what for share, what in seen)


@pytest.mark.parametrize(("name", "reason"), [("somebody/nothing", "unknown"), ("somebody/gated", "gated")])
def test_what_the_hub_refuses_is_said(hub: Hub, name: str, reason: str) -> None:
    with pytest.raises(ModelError, match=name) as caught:
        model.load(name, "cpu")
    assert caught.value.reason == reason


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json"])
def test_a_download_that_breaks_off_is_said_and_can_be_tried_again(hub: Hub, file: str) -> None:
    hub.cut = {file}
    with pytest.raises(ModelError, match="broke off") as caught:
        model.load("somebody/tiny", "cpu")
    assert caught.value.reason == "interrupted"
    assert store.local_folder("somebody/tiny") is None  # most of it is here, but not all
    hub.cut = set()
    assert model.load("somebody/tiny", "cpu").trace(TEXT).verify().ok


def test_a_hub_that_is_gone_is_said(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ModelError, match="cannot be reached") as caught:
        model.load("somebody/tiny", "cpu")
    assert caught.value.reason == "no_network"
