"""Traces without arrays: the same numbers, found in the cache or computed again, and nothing held by who keeps one."""

from __future__ import annotations

import gc
import time
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from model import turns
from model.arrays.lazy import LazyRows
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


def test_what_is_shown_is_judged(passes: list[weakref.ref[Trace]]) -> None:
    shown = cached()
    states = {stack: 1.1 * shown.hidden_states[stack] for stack in shown.hidden_states}
    assert {part.name for part in replace(shown, hidden_states=states).verify().wrong_parts} == {"states"}
    assert replace(shown).verify().ok


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
    gc.collect()  # what tests before showed and nobody shows any more
    before = server_state._held_elsewhere()
    monkeypatch.setattr(cache, "budget", before + 1_000)
    cache.get("a", lambda: "a", lambda _: 400), cache.get("b", lambda: "b", lambda _: 400)
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


def test_rows_that_are_fetched_end_where_the_array_does() -> None:
    array = np.arange(12.0).reshape(4, 3)
    for keep in (True, False):
        rows = LazyRows(lambda start, stop: array[start:stop], array.shape, keep)
        assert [row.tolist() for row in rows] == array.tolist()
        np.testing.assert_array_equal(rows[-1], array[3])
        np.testing.assert_array_equal(rows[1:3], array[1:3])
        with pytest.raises(IndexError):
            rows[4]


def test_short_sentences_go_between_the_layers_of_a_long_text_and_all_numbers_stay(
    passes: list[weakref.ref[Trace]], lens: Translator
) -> None:
    long = "The red car stopped in the old garden and we waited for it. " * 25
    ended: list[str] = []

    def run(text: str) -> Trace:
        trace = cached(text)
        ended.append(text)
        return trace

    cached("Hello.")  # the model is open
    texts = [long, *(f"I see {number} red cars." for number in ("two", "three", "four"))]
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(run, long)
        time.sleep(0.05)
        jobs = [first, *(pool.submit(run, text) for text in texts[1:])]
        found = [one.result(60) for one in jobs]
    for trace, text in zip(found, texts, strict=True):
        same(lens.trace(text), trace)
    assert ended[-1] == long


def test_a_pass_that_was_taken_apart_waits_for_nobodys_turn(passes: list[weakref.ref[Trace]]) -> None:
    trace = cached()
    found = trace.block_summaries()
    with server_state.running_model("en-fr", "cpu"), ThreadPoolExecutor(1) as others:
        assert others.submit(trace.block_summaries).result(timeout=60)["encoder"] is found["encoder"]


def test_who_waits_for_a_run_holds_no_turn_meanwhile(
    passes: list[weakref.ref[Trace]], monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[bool] = []
    trace, cached_runs = cached(), server_state._cached_runs

    def watched(*run: object) -> tuple[Trace, ...]:
        held.append(turns.holds_turn())
        return cached_runs(*run)  # type: ignore[arg-type]

    monkeypatch.setattr(server_state, "_cached_runs", watched)
    trace.block_summaries()
    trace.multi_head("cross", 1)
    assert held
    assert not any(held)
