"""The whole way from a hub's name to an opened model, against a small hub of our own on this machine."""

from __future__ import annotations

from threading import Event

import pytest
from huggingface_hub import constants

import model
from model.catalog import fetching, store
from model.catalog.__main__ import main
from model.catalog.revisions import commit
from model.errors import ModelError
from tests.model.catalog.hub_server import COMMIT, Handler, Hub
from tests.model.huggingface.test_families import TEXT


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
    assert commit("somebody/tiny") == COMMIT
    assert hub.asked == []


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ({}, ""),
        ({"license": "apache-2.0"}, "apache-2.0"),
        ({"license": ["mit", "cc-by-nc-4.0"]}, "mit, cc-by-nc-4.0"),
        ({"license": "other", "license_name": "our\nown " + 100 * "x"}, "our own " + 52 * "x"),
        ({"license": "other"}, "other"),
    ],
)
def test_the_licence_of_a_models_card_is_known_before_it_is_fetched(
    hub: Hub, card: dict[str, object], licence: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.card = card
    assert fetching.plan_download("somebody/tiny").licence == licence
    assert hub.sent == 0
    monkeypatch.setattr("sys.argv", ["catalog", "get", "somebody/tiny"])
    main()
    told = capsys.readouterr().err
    said = ("not for commercial use: " if "nc" in licence else "") + (licence or "the hub names none")
    assert f" to fetch. Licence: {said}" in told
    assert told.index("Licence") < told.index("downloading")


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
