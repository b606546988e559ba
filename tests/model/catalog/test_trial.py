"""Unknown models are tried in a process with limits; what would stop the server stops that process, with a sentence."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

import model
from model.catalog import trial
from model.errors import InputError, ModelError
from model.memory.model_registry import ModelRegistry
from model.tokenization.limited import check_tokenizes
from tests.app.driving import opened
from tests.model.huggingface import test_families
from viz.frame import server_state
from viz.frame.limits import policy
from viz.frame.waits import opening
from viz.language.messages import say

pytestmark = pytest.mark.tried


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small model whose tokenizer is fast."""
    test_families.build("gpt2", tmp_path)
    return tmp_path


def spoil(folder: Path, **parts: object) -> None:
    """Change parts of the tokenizer's file."""
    file = folder / "tokenizer.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | parts))


DOUBLING = {
    "type": "Sequence",
    "normalizers": [{"type": "Replace", "pattern": {"String": "q"}, "content": "qq"}] * 40,
}


def test_a_tokenizer_that_doubles_letters_is_refused_before_the_model_is_taken(folder: Path) -> None:
    check_tokenizes(folder, "a cat")
    spoil(folder, normalizer=DOUBLING)
    check_tokenizes(folder, "a cat")
    begun = time.monotonic()
    with pytest.raises(InputError) as caught:
        check_tokenizes(folder, "a quick cat")
    assert caught.value.reason == "tokenizer_stuck"
    assert time.monotonic() - begun < 150  # 8 s of a core, of which a busy machine gives a part


def test_an_honest_model_passes_once_and_a_changed_one_is_tried_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []
    monkeypatch.setattr(trial, "_try", lambda name, place: tried.append(name))
    for _ in range(2):
        assert trial.load_after_trial(str(folder), "cpu").trace("a b").attentions
    assert tried == [str(folder)]
    (folder / "more.txt").write_text("x")
    trial.load_after_trial(str(folder), "cpu")
    assert len(tried) == 2
    trial.load_after_trial("en-fr", "cpu")
    assert len(tried) == 2


def test_the_trial_of_an_honest_model_ends_well_and_that_of_a_hostile_one_in_a_sentence(folder: Path) -> None:
    trial._try(str(folder), folder)
    spoil(folder, normalizer=DOUBLING)
    with pytest.raises(ModelError) as caught:
        trial._try(str(folder), folder)
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize("allowed", [(30, 0.3), (1, 200)])
def test_a_trial_that_takes_too_long_is_stopped(
    folder: Path, monkeypatch: pytest.MonkeyPatch, allowed: tuple[int, float]
) -> None:
    monkeypatch.setattr(trial, "time_allowed", lambda needed: allowed)
    begun = time.monotonic()
    with pytest.raises(ModelError) as caught:
        trial._try(str(folder), folder)
    assert caught.value.reason == "slow"
    assert time.monotonic() - begun < 60
    assert not trial._running


def test_a_trial_may_take_longer_for_a_larger_model_but_ends_before_the_page_stops_waiting() -> None:
    assert trial.time_allowed(1000) == (30, 90)
    computing, waiting = trial.time_allowed(3_000_000_000)  # of whisper-medium's size
    assert 150 < computing <= waiting
    assert trial.time_allowed(10**12)[1] < opening.LONGEST


def test_nobody_waits_for_the_opening_of_another_model() -> None:
    hold, room = threading.Event(), []

    def load(name: str, device: str) -> model.Lens:
        if name == "slow":
            hold.wait(20)
        room.append(name)
        return name  # type: ignore[return-value]

    registry = ModelRegistry(load, lambda *names: None, lambda: None)
    first, second = registry.opening("slow", "cpu"), registry.opening("slow", "cpu")
    assert first is second  # opened once
    assert registry.get("quick", "cpu") == "quick"
    assert not first.done()
    hold.set()
    assert first.result(10) == "slow"
    assert room == ["quick", "slow"]


def test_models_that_are_being_opened_count_in_the_memory_of_the_next() -> None:
    hold, asked = threading.Event(), []

    def load(name: str, device: str) -> model.Lens:
        hold.wait(20)
        return name  # type: ignore[return-value]

    registry = ModelRegistry(load, lambda *names: asked.append(names), lambda: None)  # type: ignore[func-returns-value]
    futures = []
    for name in ("a", "b"):
        futures.append(registry.opening(name, "cpu"))
        while len(asked) < len(futures):
            time.sleep(0.01)
    hold.set()
    assert [one.result(10) for one in futures] == ["a", "b"]
    assert asked[0] == ("a",)
    assert asked[1] == ("b", "a")


def test_a_wait_says_what_it_waits_for_can_be_stopped_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    server_state.drop_all()
    hold = threading.Event()
    monkeypatch.setattr(server_state.model_registry(), "_load", lambda name, device: hold.wait(30))
    monkeypatch.setattr(opening, "SILENT", 0.1)
    monkeypatch.setattr(opening, "PACE", 0.1)
    monkeypatch.setattr(opening, "LONGEST", 0.5)
    app = opened()
    assert not app.exception
    assert any("still being opened" in one.value for one in app.error)
    app.session_state[opening.STOPPED] = ("en-fr", "auto")
    app.run()
    assert say("sidebar.opening_stopped", name="English → French") in [one.value for one in app.info]
    hold.set()
    monkeypatch.undo()
    server_state.drop_all()
    while server_state.model_registry()._opening:
        time.sleep(0.05)
    server_state.drop_all()
    app.button(key="open_again").click().run()
    assert not app.exception
    assert app.get("plotly_chart")
    assert isinstance(app, AppTest)


def test_long_texts_through_many_layers_are_refused_where_others_wait(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "_try", lambda name, place: None)
    own = model.load(str(folder), "cpu").max_tokens
    assert server_state._load(str(folder), "cpu").max_tokens == own
    monkeypatch.setattr(server_state, "MAX_TOKEN_LAYERS", 2 * (own // 4))
    lens = server_state._load(str(folder), "cpu")
    layers = sum(count for count, _ in lens.heads.values())
    assert lens.max_tokens == 2 * (own // 4) // layers < own
    with pytest.raises(InputError) as caught:
        lens.trace("a " * (lens.max_tokens + 1))
    assert caught.value.reason == "text_over_cap"
    monkeypatch.setattr(server_state, "MAX_TOKEN_LAYERS_SHARED", layers)
    monkeypatch.setattr(policy, "_read_as", True)  # somebody came by a proxy
    assert server_state._load(str(folder), "cpu").max_tokens == 1
    monkeypatch.setattr(policy, "_read_as", None)
    assert server_state._load(str(folder), "cpu").max_tokens == 2 * (own // 4) // layers
    monkeypatch.setattr(policy.st, "get_option", lambda name: "0.0.0.0")
    assert server_state._load(str(folder), "cpu").max_tokens == 1
