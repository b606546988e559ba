"""Whatever one page asks for, somebody with a short text goes first after one layer of it: the order, not the clock."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch

from model.attention.recorded_call import RecordedCall
from model.memory.keyed_traces import runs_held
from model.trace.decoding import Decoding
from model.trace.edits import Edits
from model.trace.trace import Trace
from model.turns import watched
from tests.model.huggingface import test_families
from viz.frame import server_state
from viz.frame.shown_run import all_heads, results
from viz.sections.compare import rollout

LONG = "the red car stopped near the old house and " * 12
TIMEOUT = 120


@pytest.fixture(autouse=True, scope="module")
def empty() -> Iterator[None]:
    server_state.drop_all()
    yield
    server_state.drop_all()


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Small models: of a family that calls the one attention function, and of one with its own."""
    made = {"own": "en-fr"}
    for name, family in (("library", "gpt2"), ("outside", "codegen")):
        folder = tmp_path_factory.mktemp(name)
        test_families.build(family, folder)
        made[name] = str(folder)
    return made


def traced(name: str, text: str) -> Trace:
    return server_state.cached_traces(name, "cpu", (text,), (None,), Edits())[0]


def similar(name: str, text: str, measure: Callable[[Any], Any]) -> Any:
    trace = traced(name, text)
    attention = next(one for kind, one in trace.attentions.items() if kind != "cross")
    return all_heads.measured(trace, attention, (measure.__name__,), measure, lambda _: 8)


def similarity_of_all(maps: Any) -> Any:
    return maps.across_layers("head_similarity", 0, 0, 1)


def coordinates(maps: Any) -> Any:
    return rollout._coordinates(maps, 1)


def rolled(maps: Any) -> Any:
    return rollout._rollout_and_flow(maps, 1, 5, with_flow=False)


def effects(name: str, text: str) -> Any:
    with server_state.working_model(name, "cpu") as lens:
        return lens.head_effects(text, [1, 2, 3])


def decoded(name: str, text: str) -> Any:
    return results._decode(name, "cpu", text, Decoding(max_new_tokens=5), Edits())


def lens_of(name: str, text: str) -> Any:
    return results._logit_lens(name, "cpu", text, None, Edits())


def kind_of(trace: Trace) -> str:
    return [*trace.attentions][-1]


# What pages compute of a run.
WORK: dict[str, Callable[[str, str], Any]] = {
    "a run": traced,
    "the output by another method": decoded,
    "the logit lens": lens_of,
    "every head silenced": effects,
    "the first summary": lambda name, text: traced(name, text).block_summaries(),
    "credit": lambda name, text: traced(name, text).credit(3, 5),
    "why": lambda name, text: (lambda trace: trace.why(kind_of(trace), 1, 0, 4, 2))(traced(name, text)),
    "projections": lambda name, text: (lambda trace: trace.multi_head(kind_of(trace), 1))(traced(name, text)),
    "all heads compared with one": lambda name, text: similar(name, text, similarity_of_all),
    "all heads as points": lambda name, text: similar(name, text, coordinates),
    "rollout": lambda name, text: similar(name, text, rolled),
}
CASES = [(name, work) for name in ("own", "library") for work in WORK]
CASES += [("outside", work) for work in ("a run", "all heads compared with one")]


class Counter:
    """Counts the attention calls that a thread computes between two slices.

    Attributes:
        most: of them; slices: how many slices there were; between: called at the first slice.
    """

    def __init__(self, between: Callable[[], None]) -> None:
        self.thread, self.now, self.most, self.slices = threading.get_ident(), 0, 0, 0
        self.between = between

    def count(self) -> None:
        if threading.get_ident() == self.thread:
            self.now += 1
            self.most = max(self.most, self.now)

    def __call__(self, waits: bool) -> None:
        if not waits and server_state._model_turns._taken:
            self.now = 0
            self.slices += 1
            if self.slices == 2:
                self.between()


@pytest.mark.parametrize(("which", "work"), CASES)
def test_a_bystander_goes_first_after_one_layer(
    folders: dict[str, str], which: str, work: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, text, order = folders[which], f"{work} {LONG}"[:60], list[str]()
    monkeypatch.setattr(server_state, "SHORT_TEXT", 20)
    monkeypatch.setattr(server_state, "SHORT_PASS", 20)
    if work != "a run":
        traced(name, text)  # what is measured is the work alone
    turns = server_state._model_turns

    def bystander() -> None:
        with turns.held(short=True):
            order.append("bystander")

    def come() -> None:
        pool.submit(bystander)
        end = time.monotonic() + TIMEOUT
        while not turns._short:
            assert time.monotonic() < end
            time.sleep(0.001)

    counter = Counter(come)
    count_calls(monkeypatch, counter)
    with ThreadPoolExecutor(1) as pool, watched(counter), runs_held():
        WORK[work](name, text)
        order.append("work")
    assert order == ["bystander", "work"]
    assert counter.slices >= 2
    # A layer of an encoder-decoder attends twice; of a short text from which is read how it is built, once more.
    assert counter.most <= (3 if work == "the first summary" else 2)


def count_calls(monkeypatch: pytest.MonkeyPatch, counter: Counter) -> None:
    """Count calls of attention in passes, and maps that are read of them."""
    for owner, name in ((torch.nn.functional, "scaled_dot_product_attention"), (RecordedCall, "weights_tensor")):
        monkeypatch.setattr(owner, name, counted(getattr(owner, name), counter))


def counted(function: Callable[..., Any], counter: Counter) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        counter.count()
        return function(*args, **kwargs)

    return call
