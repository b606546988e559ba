"""The hub of the tests, and settings that hold for one test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
from huggingface_hub import constants
from huggingface_hub.utils import _http

from model.catalog.downloads import transfer
from model.settings import settings
from tests.model.catalog.hub_server import Hub
from tests.model.huggingface.test_families import build


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    """The settings of a computer of one's own, whatever a test installs."""
    yield
    settings.install(settings.ALONE)


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
    monkeypatch.setattr(transfer, "PAUSE_SECONDS", 0.0)
    _http.close_session()
    yield server
    server.shutdown()
    server.server_close()
    _http.close_session()
