"""Traces without arrays: the same numbers, found in the cache or computed again, and nothing held by who keeps one."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import numpy as np
import pytest

from model.memory.keyed_traces import runs_held
from model.trace.edits import Edits
from model.trace.trace import Trace
from model.translator.translator import Translator
from viz.frame import server_state

TEXT = "The red car stopped in the old garden."


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[weakref.ref[Trace]]]:
    """The whole traces that were computed, for as long as anybody holds them."""
    made: list[weakref.ref[Trace]] = []
    trace_batch = Translator.trace_batch

    def counted(*args: object, **kwargs: object) -> tuple[Trace, ...]:
        traces = trace_batch(*args, **kwargs)  # type: ignore[arg-type]
        made.extend(map(weakref.ref, traces))
        return traces

    monkeypatch.setattr(Translator, "trace_batch", counted)
    server_state.drop_all()
    yield made
    server_state.drop_all()


def cached(text: str = TEXT, edits: Edits | None = None) -> Trace:
    return server_state.cached_traces("en-fr", "cpu", (text,), (None,), edits or Edits())[0]


def same(ours: Trace, theirs: Trace) -> None:
    for kind, one in ours.attentions.items():
        other = theirs.attentions[kind]
        for layer in range(one.num_layers):
            for name in ("weights", "scores", "query", "key", "value", "mask", "bias"):
                np.testing.assert_array_equal(getattr(one, name)(layer), getattr(other, name)(layer))
    for stack in ours.hidden_states:
        np.testing.assert_array_equal(ours.hidden_states[stack], theirs.hidden_states[stack])
        np.testing.assert_array_equal(ours.neurons[stack], theirs.neurons[stack])
    np.testing.assert_array_equal(np.asarray(ours.logits), np.asarray(theirs.logits))
    assert (ours.output, list(ours.predicted or ())) == (theirs.output, list(theirs.predicted or ()))


@pytest.mark.parametrize("edits", [Edits(), Edits(heads={("cross", 0, 3): 0.0})])
def test_the_numbers_are_those_of_the_whole_trace(
    passes: list[weakref.ref[Trace]], lens: Translator, edits: Edits
) -> None:
    trace, whole = cached(edits=edits), lens.trace(TEXT, edits=edits)
    passes.clear()
    same(whole, trace)
    assert trace.verify().ok
    assert type(trace.multi_head("cross", 1)) is type(whole.multi_head("cross", 1))
    assert passes == []  # all of it was in the cache
    server_state.result_cache().clear()
    same(whole, trace)
    assert len(passes) == 1  # made again, once


def test_who_keeps_a_trace_keeps_no_arrays(passes: list[weakref.ref[Trace]]) -> None:
    kept = [cached(f"I see {number} trees.") for number in range(5)]
    for trace in kept:
        np.asarray(trace.logits), trace.hidden_states["encoder"], trace.attentions["cross"].weights(0)
        trace.verify()
    server_state.result_cache().clear()
    gc.collect()
    assert [one() for one in passes] == [None] * 5
    assert kept[2].logits is not None
    assert kept[2].logits[0].shape == kept[2].logits.shape[1:]


def test_a_page_that_reads_much_of_a_run_without_room_computes_it_once(
    passes: list[weakref.ref[Trace]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_state.result_cache(), "budget", 0)
    with runs_held():
        trace = cached()
        for layer in range(3):
            trace.attentions["encoder"].weights(layer), trace.attentions["decoder"].weights(layer)
        np.asarray(trace.logits), trace.hidden_states["encoder"]
        assert trace.verify().ok
    assert len(passes) == 1
    gc.collect()
    assert passes[0]() is None


def test_figures_on_pages_take_room_from_the_results(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = server_state.result_cache()
    cache.clear()
    monkeypatch.setattr(cache, "budget", 1_000)
    cache.get("a", lambda: "a", lambda _: 400), cache.get("b", lambda: "b", lambda _: 400)
    before = server_state._held_elsewhere()
    shown = server_state.ShownFigures()
    shown.nbytes = 500
    assert server_state._held_elsewhere() == before + 500
    cache.get("c", lambda: "c", lambda _: 100)
    assert cache.find("a") is None
    assert cache.find("b") == "b"
    assert cache.bytes == 500
    del shown
    gc.collect()
    assert server_state._held_elsewhere() == before
    cache.clear()
