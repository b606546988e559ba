"""What was computed and may be asked for again, up to a number of bytes; the least recently used leaves first."""

from __future__ import annotations

import itertools
import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from model.arrays.types import Array
from model.maps.layer_maps import LayerMaps
from model.maps.pooling import is_small
from model.memory.result_cache import ResultCache
from model.trace.attention import Attention
from model.trace.recorded_layer import LayerOverview, RecordedLayer, Words
from model.trace.trace import Trace

_serials = itertools.count(time.time_ns())  # a server that reloads changed code keeps what it had computed


@dataclass(frozen=True, eq=False)
class CachedLayer(LayerMaps):
    """One layer of a trace whose weights are computed once, as long as there is room to keep them.

    Of a large layer only what is drawn is computed and kept.
    """

    layer: RecordedLayer
    kept: ResultCache
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

    def overview(self, side: int) -> LayerOverview:
        return self.layer.overview(side)  # who looks at all heads of all layers does so once

    def part(self, heads: range, queries: Sequence[int]) -> RecordedLayer:
        return super().part(heads, queries) if is_small(self.shape) else self.layer.part(heads, queries)

    def between(self, queries: Words, keys: Words) -> CachedLayer:
        return CachedLayer(self.layer.between(queries, keys), self.kept, (self.serial, queries, keys))

    def together(self, what: str, layers: Sequence[Any], *where: int) -> Array:
        return self.layer.together(what, [layer.layer for layer in layers], *where)


def with_cached_layers(trace: Trace, kept: ResultCache) -> Trace:
    """The same trace with `CachedLayer` layers."""
    attentions = {
        kind: replace(one, layers=tuple(CachedLayer(layer, kept) for layer in one.layers))
        for kind, one in trace.attentions.items()
    }

    def find(layer: RecordedLayer) -> Any:
        return trace.find(layer.layer if isinstance(layer, CachedLayer) else layer)

    return replace(trace, attentions=attentions, find=find)


def without_cache(attention: Attention) -> Attention:
    """The same attention, none of whose maps is kept: for who looks at all of them once."""
    layers = (layer.layer if isinstance(layer, CachedLayer) else layer for layer in attention.layers)
    return replace(attention, layers=tuple(layers))
