"""What is kept is bounded, made once, and never wrong."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from model.memory.cached_layers import CachedLayer, with_cached_layers, without_cache
from model.memory.result_cache import ResultCache
from model.translator.translator import Translator
from model.turns import GivenUp, watched


def test_the_least_recently_used_leaves_first() -> None:
    kept = ResultCache(100)
    made: list[str] = []

    def get(key: str, size: int) -> str:
        return kept.get(key, lambda: made.append(key) or key, lambda _: size)  # type: ignore[func-returns-value]

    get("a", 40), get("b", 40), get("a", 40)
    get("c", 40)  # "b" was used longest ago
    assert kept.bytes == 80
    get("a", 40), get("b", 40)
    assert made == ["a", "b", "c", "b"]
    get("huge", 101), get("huge", 101)
    assert made.count("huge") == 2
    assert kept.bytes == 80
    kept.clear()
    assert kept.bytes == 0


def test_who_asks_at_the_same_time_waits_for_the_one_who_makes() -> None:
    kept = ResultCache(100)
    made = []

    def make() -> object:
        made.append(1)
        time.sleep(0.05)
        return object()

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: kept.get("key", make, lambda _: 1), range(8)))
    assert len(made) == 1
    assert len(set(map(id, found))) == 1


def test_who_waits_for_a_computation_that_is_given_up_makes_it() -> None:
    kept, made = ResultCache(100), list[str]()
    begun, asked = threading.Event(), threading.Event()

    def give_up() -> str:
        begun.set()
        assert asked.wait(60)
        raise GivenUp

    def ask() -> str:
        assert begun.wait(60)
        with watched(lambda waits: asked.set()):
            return kept.get("key", lambda: made.append("second") or "made", lambda _: 1)  # type: ignore[func-returns-value]

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.submit(kept.get, "key", give_up, lambda _: 1), pool.submit(ask)
        with pytest.raises(GivenUp):
            first.result(60)
        assert second.result(60) == "made"
    assert made == ["second"]


def test_a_failure_reaches_all_and_is_tried_again() -> None:
    kept = ResultCache(100)
    started = threading.Event()

    def fail() -> int:
        started.wait(5)
        raise KeyError("no")

    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(kept.get, "key", fail, lambda _: 1) for _ in range(4)]
        started.set()
        for one in waiting:
            with pytest.raises(KeyError, match="no"):
                one.result()
    assert kept.get("key", lambda: 3, lambda _: 1) == 3


def test_a_remembered_trace_has_the_same_numbers_and_computes_each_layer_once(lens: Translator) -> None:
    plain = lens.trace("I see a tree.")
    kept = ResultCache(10_000_000)
    trace = with_cached_layers(plain, kept)
    assert trace.serial != plain.serial
    cross = trace.attentions["cross"]
    first = cross.weights(1)
    np.testing.assert_array_equal(first, plain.attentions["cross"].weights(1))
    assert cross.weights(1) is first
    assert cross.weights(2) is not first
    assert kept.bytes == 2 * first.nbytes
    assert not first.flags.writeable
    assert trace.verify().ok
    np.testing.assert_array_equal(trace.multi_head("cross", 1).output, plain.multi_head("cross", 1).output)  # type: ignore[union-attr]
    before = kept.bytes
    np.testing.assert_array_equal(without_cache(cross).weights(0), plain.attentions["cross"].weights(0))
    assert kept.bytes == before


def test_two_traces_never_share_maps(lens: Translator) -> None:
    kept = ResultCache(10_000_000)
    one, two = (with_cached_layers(lens.trace(text), kept) for text in ("I see a tree.", "I see a cat."))
    assert (one.attentions["encoder"].weights(0) != two.attentions["encoder"].weights(0)).any()
    layer = one.attentions["encoder"].layers[0]
    assert isinstance(layer, CachedLayer)
    assert replace(layer, serial=-1).weights() is not layer.weights()


def test_a_trace_knows_about_how_much_memory_it_takes(lens: Translator) -> None:
    short, long = (lens.trace("I see a tree. " * n, target="Je vois. " * n) for n in (4, 32))
    tokens = [len(trace.tokens["encoder"]) + len(trace.tokens["decoder"]) for trace in (short, long)]
    assert long.nbytes / short.nbytes == pytest.approx(tokens[1] / tokens[0], rel=0.25)  # it grows with the tokens


def test_large_results_do_not_push_out_the_small_ones() -> None:
    kept = ResultCache(1_000)
    for number in range(20):
        kept.get(("map", number), lambda: "map", lambda _: 20)
    for number in range(10):
        kept.get(("run", number), lambda: "run", lambda _: 300)
    assert all(kept.find(("map", number)) for number in range(20))
    assert [number for number in range(10) if kept.find(("run", number))] == [8, 9]
    assert kept.bytes == 1_000
    for number in range(20, 60):
        kept.get(("map", number), lambda: "map", lambda _: 20)
    assert kept.bytes <= 1_000
    assert kept.find(("map", 59))
