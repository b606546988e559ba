"""Which models stay open, which leave, and what is refused; with made-up sizes, and with real models that must go."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

import model
from model.catalog.opening import check_model_fits
from model.errors import ModelError
from model.memory.model_registry import ModelRegistry, detach_from_model
from model.trace import edits
from tests.model.huggingface import test_families, test_vision
from viz.frame import model_access, server_state
from viz.language.messages import say

SIZES = {"small": 2, "medium": 4, "large": 6, "huge": 20}


class Room:
    """Ten units of memory, and models that take some of it for as long as anybody holds them."""

    def __init__(self) -> None:
        self.held: weakref.WeakSet[Opened] = weakref.WeakSet()
        self.loaded: list[str] = []
        self.results_evicted = 0
        self.most = 0
        self.registry = ModelRegistry(self.load, self.check, self.evict_results)

    def load(self, name: str, device: str) -> Opened:  # type: ignore[override]
        time.sleep(0.002)
        opened = Opened(name)
        self.held.add(opened)
        self.loaded.append(name)
        self.most = max(self.most, sum(SIZES[one.name] for one in self.held))
        return opened

    def check(self, name: str, *beside: str) -> None:
        if sum(SIZES[one] for one in (name, *beside)) + sum(SIZES[one.name] for one in self.held) > 10:
            raise ModelError("memory", f"{name} needs {SIZES[name]}")

    def evict_results(self) -> None:
        self.results_evicted += 1


class Opened:
    def __init__(self, name: str) -> None:
        self.name = name


def names(room: Room) -> list[str]:
    return [name for name, _ in room.registry.open_keys()]


def test_as_many_stay_as_fit_and_the_least_recently_used_leaves() -> None:
    room = Room()
    for name in ("small", "medium", "small", "large"):
        room.registry.get(name, "cpu")
    assert names(room) == ["small", "large"]  # "medium" was used before "small" was, the second time
    assert room.loaded == ["small", "medium", "large"]
    assert {one.name for one in room.held} == {"small", "large"}
    assert room.results_evicted == 0


def test_what_cannot_fit_is_refused_after_all_idle_models_and_results_have_left() -> None:
    room = Room()
    room.registry.get("small", "cpu")
    with pytest.raises(ModelError, match="huge needs 20"):
        room.registry.get("huge", "cpu")
    assert room.results_evicted == 1
    assert names(room) == []


def test_a_model_with_a_running_pass_does_not_leave() -> None:
    room = Room()
    with room.registry.pinned("large", "cpu"):
        with pytest.raises(ModelError, match="medium needs 4"), room.registry.pinned("small", "cpu"):
            room.registry.get("medium", "cpu")
        assert "large" in names(room)
    room.registry.get("medium", "cpu")
    room.registry.get("small", "cpu")
    assert "large" not in names(room)


def test_many_threads_open_each_model_once_and_never_more_than_fits() -> None:
    room = Room()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: room.registry.get("medium", "cpu"), range(50)))
    assert room.loaded == ["medium"]
    failures = []

    def work(i: int) -> None:
        try:
            with room.registry.pinned(["small", "medium", "large"][i % 3], "cpu") as opened:
                assert opened.name in names(room)  # type: ignore[attr-defined]
        except ModelError:
            failures.append(i)  # three at once do not fit, and a running pass keeps its model

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(40)))
    assert room.most <= 10
    assert len(failures) < 40
    assert not any(room.registry._pins.values())


def test_who_asks_for_an_open_model_need_not_wait_for_another_to_be_opened() -> None:
    gate = threading.Event()
    registry = ModelRegistry(
        lambda name, device: gate.wait(10) if name == "slow" else Opened(name), lambda name: None, gc.collect
    )  # type: ignore[arg-type, return-value]
    registry.get("quick", "cpu")
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(registry.get, "slow", "cpu")
        assert registry.get("quick", "cpu").name == "quick"  # type: ignore[attr-defined]
        assert not slow.done()
        gate.set()


@pytest.mark.parametrize("kind", ["translator", "text", "picture"])
def test_a_kept_trace_does_not_keep_its_model_and_can_still_be_checked(kind: str, tmp_path: Path) -> None:
    name, given = "en-fr", "The red car stopped."
    if kind == "text":
        test_families.build("llama", tmp_path)
        name = str(tmp_path)
    if kind == "picture":
        test_vision.build("vit", tmp_path)
        name, given = str(tmp_path), str(test_vision.PICTURES[0])
    opened = model.load(name, "cpu")
    left = weakref.ref(opened.module)  # type: ignore[attr-defined]
    trace = detach_from_model(opened.trace(given), lambda: model.load(name, "cpu"))
    assert trace.verify().ok
    trace = detach_from_model(opened.trace(given), lambda: model.load(name, "cpu"))
    del opened
    gc.collect()
    assert left() is None
    assert trace.attentions  # all but the check needs no model
    assert trace.verify().ok


def test_the_app_lets_models_go_when_memory_is_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server_state.drop_all()
    test_families.build("bert", tmp_path)
    left = weakref.ref(server_state.model_registry().get("en-fr", "cpu").module)  # type: ignore[attr-defined]
    server_state.cached_traces("en-fr", "cpu", ("I see.",), (None,), edits.Edits())

    class Free:
        """Too little until the first model has really gone."""

        @property
        def available(self) -> int:
            return 100_000_000 if left() is None else 1000

    monkeypatch.setattr(psutil, "virtual_memory", Free)
    assert (
        server_state.cached_traces(str(tmp_path), "cpu", (test_families.TEXT,), (None,), edits.Edits())[0].verify().ok
    )
    assert server_state.model_registry().open_keys() == [(str(tmp_path), "cpu")]


def test_results_are_let_go_too_before_a_model_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server_state.drop_all()
    test_families.build("bert", tmp_path)
    kept = weakref.ref(server_state.cached_traces("en-fr", "cpu", ("I see.",), (None,), edits.Edits())[0])
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Free", (), {"available": 1000})())
    with pytest.raises(ModelError, match="are free"):
        server_state.cached_traces(str(tmp_path), "cpu", (test_families.TEXT,), (None,), edits.Edits())
    assert server_state.model_registry().open_keys() == []
    gc.collect()
    assert kept() is None


def test_a_model_that_fits_nowhere_is_refused_with_the_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Free", (), {"available": 1_000_000})())
    with pytest.raises(ModelError, match=r"needs 30 MB of memory and 1 MB are free"):
        check_model_fits("en-fr")


def test_memory_is_told_before_opening() -> None:
    assert model_access.memory_needed("en-fr") == "30 MB"
    assert model_access.memory_needed("nowhere/at-all") == ""
    assert "30 MB" in say("sidebar.memory", needed=model_access.memory_needed("en-fr"))
