"""Traces that hold no arrays: what is read of one is taken from a cached run, which is made again where it has left."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from model.arrays.lazy import DeferredMapping, LazyMapping, LazyRows, LazySequence, array_shapes
from model.arrays.types import Array
from model.maps.layer_maps import LayerMaps
from model.trace.check import Check
from model.trace.layer_inputs import MultiHeadLayer, NotMultiHead
from model.trace.recorded_layer import LayerOverview, RecordedLayer, WordPieces
from model.trace.trace import Trace

Turn = Callable[[], AbstractContextManager[object]]


@dataclass(eq=False)
class HeldRuns:
    """The whole runs that a page has in its hands, and the turns that it keeps as long.

    Attributes:
        found: the runs by key; turns: the contexts that end with them.
    """

    found: dict[Hashable, tuple[Trace, ...]] = field(default_factory=dict)
    turns: ExitStack = field(default_factory=ExitStack)


_held: ContextVar[HeldRuns | None] = ContextVar("held_runs", default=None)


@dataclass(frozen=True, eq=False)
class KeyedLayer(LayerMaps):
    """A layer that is found anew for everything that is read of it.

    Attributes:
        find: the recorded layer, of a run in a cache.
        shape: heads, queries, keys and head_dim; scale: of the scores; parallel_layers, softcap: as of the recorded
            layer.
    """

    find: Callable[[], RecordedLayer]
    shape: tuple[int, int, int, int]
    scale: float
    parallel_layers: int = 1
    softcap: float | None = None

    @property
    def bytes_by_address(self) -> dict[int, int]:
        return {}  # the run is counted where it is cached

    def array(self, name: str) -> Array:
        return self.find().array(name)

    def scores(self, masked: bool = True) -> Array:
        return self.find().scores(masked)

    def weights(self) -> Array:
        return self.find().weights()

    def pooled(self, head: int | None, queries: Sequence[int], keys: Sequence[int], shape: tuple[int, int]) -> Array:
        return self.find().pooled(head, queries, keys, shape)

    def strongest(
        self, head: int, queries: Sequence[int], keys: Sequence[int], count: int
    ) -> tuple[Array, Array, Array]:
        return self.find().strongest(head, queries, keys, count)

    def overview(self, side: int) -> LayerOverview:
        return self.find().overview(side)

    def select(self, heads: range, queries: Sequence[int]) -> RecordedLayer:
        return self.find().select(heads, queries)

    def merged_into_words(self, queries: WordPieces, keys: WordPieces) -> RecordedLayer:
        shape = (self.shape[0], len(queries), len(keys), 0)
        return KeyedLayer(
            lambda: self.find().merged_into_words(queries, keys), shape, float("nan"), self.parallel_layers
        )

    def across_layers(self, measure: str, layers: Sequence[Any], *arguments: int) -> Array:
        return self.find().across_layers(measure, [layer.find() for layer in layers], *arguments)


def found(layer: RecordedLayer) -> RecordedLayer:
    """The recorded layer behind one that is found anew each time; any other as it is."""
    return layer.find() if isinstance(layer, KeyedLayer) else layer


@contextmanager
def runs_held() -> Iterator[None]:
    """A context in which runs that were found once stay, so that a page which reads much of one computes it once."""
    if _held.get() is not None:  # of the page around a fragment
        yield
        return
    held = HeldRuns()
    token = _held.set(held)
    try:
        with held.turns:
            yield
    finally:
        _held.reset(token)


def held_run(key: Hashable, find: Callable[[], tuple[Trace, ...]], turn: Turn = nullcontext) -> tuple[Trace, ...]:
    """The run of a key: the one that this context holds, else what `find` returns, which it then holds.

    Args:
        turn: a context that is entered before, and left with the runs.
    """
    held = _held.get()
    if held is None:
        return find()
    if key not in held.found:
        held.turns.enter_context(turn())
        held.found[key] = find()
    return held.found[key]


def keep_turn(turn: Turn) -> None:
    """Enter a context that is left with the runs that this context holds; nothing where there is none."""
    held = _held.get()
    if held is not None:
        held.turns.enter_context(turn())


def let_go() -> None:
    """Leave the runs and the turns that this context holds, before work of minutes."""
    held = _held.get()
    if held is not None:
        held.found.clear()
        held.turns.close()


def without_arrays(
    trace: Trace, find: Callable[[], Trace], turn: Turn = nullcontext, check_turn: Turn = nullcontext
) -> Trace:
    """The same trace without its arrays; who keeps it keeps tokens, ids and shapes only.

    Args:
        find: the whole trace, from a cache or computed again with the same input.
        turn: a context around each further pass of the model. The run is found before it is entered, as who waits for
            the same run may hold it.
        check_turn: a context around each check, which runs the model beside the passes.
    """

    def layer(kind: str, index: int) -> KeyedLayer:
        recorded = trace.attentions[kind].layers[index]
        how = recorded.shape, recorded.scale, recorded.parallel_layers, recorded.softcap
        return KeyedLayer(partial(_recorded, find, kind, index), *how)

    logits: Any = None if trace.logits is None else _rows(trace.logits.shape, find)
    neurons: Any = DeferredMapping((), lambda stack: None, keep=False)  # made anew from `take_apart`
    if not isinstance(trace.neurons, DeferredMapping):
        neurons = LazyMapping(array_shapes(trace.neurons), lambda stack: find().neurons[stack], keep=False)
    return replace(
        trace,
        attentions={
            kind: replace(one, layers=tuple(layer(kind, index) for index in range(one.num_layers)))
            for kind, one in trace.attentions.items()
        },
        hidden_states=LazyMapping(
            array_shapes(trace.hidden_states), lambda stack: find().hidden_states[stack], keep=False
        ),
        neurons=neurons,
        take_apart=None if trace.take_apart is None else partial(_apart, find, turn),
        predicted=None if trace.predicted is None else LazySequence(len(trace.predicted), partial(_predicted, find)),
        logits=logits,
        run_check=partial(_checked, find, check_turn),
        find_layer=partial(_found_layer, find, turn),
    )


def _checked(find: Callable[[], Trace], turn: Turn, shown: Trace, probe: Any = None) -> Check:
    with turn():  # before the run is found: who waits holds none
        return find().run_check(shown, probe)


def _recorded(find: Callable[[], Trace], kind: str, index: int) -> RecordedLayer:
    return find().attentions[kind].layers[index]


def _apart(find: Callable[[], Trace], turn: Turn, *wanted: Any) -> Any:
    take_apart = find().take_apart
    assert take_apart is not None
    with turn():
        return take_apart(*wanted)


def _found_layer(find: Callable[[], Trace], turn: Turn, layer: RecordedLayer) -> MultiHeadLayer | NotMultiHead:
    run, recorded = find(), found(layer)
    with turn():
        return run.find_layer(recorded)


def _rows(shape: Sequence[int], find: Callable[[], Trace]) -> LazyRows:
    def rows(start: int, stop: int) -> Array:
        logits = find().logits
        assert logits is not None
        return logits[start:stop]

    return LazyRows(rows, shape, keep=False)


def _predicted(find: Callable[[], Trace], index: int) -> str:
    predicted = find().predicted
    assert predicted is not None
    return predicted[index]
