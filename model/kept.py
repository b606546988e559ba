"""What was computed and may be asked for again, up to a number of bytes; the least recently used leaves first."""

from __future__ import annotations

import itertools
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, cast

from model.looks import Maps
from model.maps import Overview, is_small
from model.recorded import Words
from model.trace import Array, Attention, Recorded, Trace

T = TypeVar("T")


class Kept:
    """Results by key, bounded by the memory they take together; safe to use from many threads.

    Args:
        budget: in bytes; a result larger than that is handed out and not kept.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self._results: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()  # the least recently used first
        self._awaited: dict[Hashable, Future[Any]] = {}
        self._bytes = 0
        self._lock = threading.Lock()  # held for moments, never while something is computed

    @property
    def bytes(self) -> int:
        """What is kept now."""
        return self._bytes

    def get(self, key: Hashable, make: Callable[[], T], size: Callable[[T], int]) -> T:
        """A result; made where it is not here, once even where many ask for it at the same time.

        Whatever `make` raises reaches everybody who waited for it, and is not kept.
        """
        with self._lock:
            if key in self._results:
                self._results.move_to_end(key)
                return cast(T, self._results[key][0])
            mine = key not in self._awaited
            awaited = self._awaited.setdefault(key, Future())
        if not mine:
            return cast(T, awaited.result())
        try:
            made = make()
        except BaseException as error:
            with self._lock:
                del self._awaited[key]
            awaited.set_exception(error)
            raise
        with self._lock:
            del self._awaited[key]
            self._keep(key, made, size(made))
        awaited.set_result(made)
        return made

    def clear(self) -> None:
        """Let go of everything."""
        with self._lock:
            self._results.clear()
            self._bytes = 0

    def _keep(self, key: Hashable, made: object, size: int) -> None:
        if size > self.budget:
            return
        self._results[key] = (made, size)
        self._bytes += size
        while self._bytes > self.budget:
            _, (_, freed) = self._results.popitem(last=False)
            self._bytes -= freed


_serials = itertools.count(time.time_ns())  # a server that reloads changed code keeps what it had computed


@dataclass(frozen=True, eq=False)
class Remembered(Maps):
    """One layer of a trace whose weights are computed once, as long as there is room to keep them.

    Of a large layer only what is drawn is computed and kept.
    """

    layer: Recorded
    kept: Kept
    serial: Hashable = field(default_factory=_serials.__next__)

    @property
    def scale(self) -> float:
        return self.layer.scale

    @property
    def at_once(self) -> int:
        return self.layer.at_once

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return self.layer.shape

    @property
    def memory(self) -> dict[int, int]:
        return self.layer.memory

    def array(self, name: str) -> Array:
        return self.layer.array(name)

    def scores(self, masked: bool = True) -> Array:
        return self.layer.scores(masked)

    def weights(self) -> Array:
        return self.kept.get(self.serial, self.layer.weights, lambda weights: weights.nbytes)

    def drawn(self, head: int | None, queries: Sequence[int], keys: Sequence[int], shape: tuple[int, int]) -> Array:
        if is_small(self.shape):
            return super().drawn(head, queries, keys, shape)
        key = (self.serial, "drawn", head, tuple(queries), tuple(keys), shape)
        return self.kept.get(key, lambda: self.layer.drawn(head, queries, keys, shape), lambda maps: maps.nbytes)

    def strongest(
        self, head: int, queries: Sequence[int], keys: Sequence[int], count: int
    ) -> tuple[Array, Array, Array]:
        if is_small(self.shape):
            return super().strongest(head, queries, keys, count)
        key = (self.serial, "strongest", head, tuple(queries), tuple(keys), count)
        return self.kept.get(
            key,
            lambda: self.layer.strongest(head, queries, keys, count),
            lambda found: sum(one.nbytes for one in found),
        )

    def overview(self, side: int) -> Overview:
        return self.layer.overview(side)  # who looks at all heads of all layers does so once

    def part(self, heads: range, queries: Sequence[int]) -> Recorded:
        return super().part(heads, queries) if is_small(self.shape) else self.layer.part(heads, queries)

    def between(self, queries: Words, keys: Words) -> Remembered:
        return Remembered(self.layer.between(queries, keys), self.kept, (self.serial, queries, keys))

    def together(self, what: str, layers: Sequence[Any], *where: int) -> Array:
        return self.layer.together(what, [layer.layer for layer in layers], *where)


def remembering(trace: Trace, kept: Kept) -> Trace:
    """The same trace with `Remembered` layers."""
    attentions = {
        kind: replace(one, layers=tuple(Remembered(layer, kept) for layer in one.layers))
        for kind, one in trace.attentions.items()
    }

    def find(layer: Recorded) -> Any:
        return trace.find(layer.layer if isinstance(layer, Remembered) else layer)

    return replace(trace, attentions=attentions, find=find)


def fleeting(attention: Attention) -> Attention:
    """The same attention, none of whose maps is kept: for who looks at all of them once."""
    layers = (layer.layer if isinstance(layer, Remembered) else layer for layer in attention.layers)
    return replace(attention, layers=tuple(layers))
