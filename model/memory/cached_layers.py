"""Attention layers whose maps are kept in a `ResultCache`."""

from __future__ import annotations

import itertools
import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from model.arrays.types import Array
from model.maps.layer_maps import LayerMaps
from model.maps.pooling import is_small
from model.memory.keyed_traces import found
from model.memory.result_cache import ResultCache
from model.trace.attention import Attention
from model.trace.recorded_layer import LayerOverview, RecordedLayer, WordPieces
from model.trace.trace import Trace

# Starts at the time, so that keys stay unique where a server that reloads changed code keeps its cache.
_serials = itertools.count(time.time_ns())


@dataclass(frozen=True, eq=False)
class CachedLayer(LayerMaps):
    """A layer of a trace whose attention weights are computed once, as long as the cache has room for them.

    Of a large layer, only the pooled maps and the strongest weights that are drawn are computed and cached.

    Attributes:
        layer: computes what is not cached; cache: holds the results; serial: identifies the layer in the cache's keys.
    """

    layer: RecordedLayer
    cache: ResultCache
    serial: Hashable = field(default_factory=_serials.__next__)

    @property
    def scale(self) -> float:
        return self.layer.scale

    @property
    def softcap(self) -> float | None:
        return self.layer.softcap

    @property
    def parallel_layers(self) -> int:
        return self.layer.parallel_layers

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return self.layer.shape

    @property
    def bytes_by_address(self) -> dict[int, int]:
        return self.layer.bytes_by_address

    def array(self, name: str) -> Array:
        if name != "allowed":
            return self.layer.array(name)
        # Of every map that is drawn: it stays where the run has left.
        return self.cache.get((self.serial, name), lambda: self.layer.array(name), lambda mask: mask.nbytes)

    def scores(self, masked: bool = True) -> Array:
        return self.layer.scores(masked)

    def weights(self) -> Array:
        return self.cache.get(self.serial, self.layer.weights, lambda weights: weights.nbytes)

    def pooled(self, head: int | None, queries: Sequence[int], keys: Sequence[int], shape: tuple[int, int]) -> Array:
        if is_small(self.shape):
            return super().pooled(head, queries, keys, shape)
        key = (self.serial, "pooled", head, tuple(queries), tuple(keys), shape)
        return self.cache.get(key, lambda: self.layer.pooled(head, queries, keys, shape), lambda maps: maps.nbytes)

    def strongest(
        self, head: int, queries: Sequence[int], keys: Sequence[int], count: int
    ) -> tuple[Array, Array, Array]:
        if is_small(self.shape):
            return super().strongest(head, queries, keys, count)
        key = (self.serial, "strongest", head, tuple(queries), tuple(keys), count)
        return self.cache.get(
            key,
            lambda: self.layer.strongest(head, queries, keys, count),
            lambda found: sum(one.nbytes for one in found),
        )

    def overview(self, side: int) -> LayerOverview:
        return self.layer.overview(side)  # not cached: the picture drawn from it is

    def select(self, heads: range, queries: Sequence[int]) -> RecordedLayer:
        return super().select(heads, queries) if is_small(self.shape) else self.layer.select(heads, queries)

    def merged_into_words(self, queries: WordPieces, keys: WordPieces) -> CachedLayer:
        return CachedLayer(self.layer.merged_into_words(queries, keys), self.cache, (self.serial, queries, keys))

    def across_layers(self, measure: str, layers: Sequence[Any], *arguments: int) -> Array:
        return self.layer.across_layers(measure, [layer.layer for layer in layers], *arguments)


def with_cached_layers(trace: Trace, cache: ResultCache) -> Trace:
    """The same trace with every layer wrapped in a `CachedLayer`; what it is taken apart into is cached too."""
    attentions = {
        kind: replace(one, layers=tuple(CachedLayer(layer, cache) for layer in one.layers))
        for kind, one in trace.attentions.items()
    }

    def find(layer: RecordedLayer) -> Any:
        return trace.find_layer(layer.layer if isinstance(layer, CachedLayer) else layer)

    serial, take_apart = next(_serials), trace.take_apart

    def take_apart_once(*wanted: Any) -> Any:
        assert take_apart is not None
        return cache.get((serial, "apart", *wanted), lambda: take_apart(*wanted), lambda found: found.nbytes)

    return replace(
        trace, attentions=attentions, find_layer=find, take_apart=None if take_apart is None else take_apart_once
    )


def without_cache(attention: Attention) -> Attention:
    """The same attention without caching, and with its run at hand: for computations that read every map once."""
    layers = (found(layer.layer if isinstance(layer, CachedLayer) else layer) for layer in attention.layers)
    return replace(attention, layers=tuple(layers))
