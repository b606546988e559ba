"""Pooled maps, largest weights, selections and word-level maps of a layer, from its whole weights (NumPy only)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from model.arrays.types import Array
from model.maps.entropy import entropy_bits
from model.maps.pooling import as_index, capped_shape, is_small, largest_cells, max_pool, overview, pooling_groups
from model.trace.recorded_layer import LayerOverview, RecordedLayer, WordPieces


class LayerMaps:
    """What a `RecordedLayer` shows of its maps, derived from `weights()`; layers on a device or server override it."""

    @property
    def parallel_layers(self: RecordedLayer) -> int:
        """Number of layers whose overviews are best computed at the same time, each in a thread of its own."""
        return 1 if is_small(self.shape) else min(os.cpu_count() or 1, 8)

    @property
    def bytes_by_address(self: RecordedLayer) -> dict[int, int]:
        """Sizes in bytes of the arrays that the maps are computed from, by address: shared arrays count once."""
        heads, queries, keys, dim = self.shape
        # A layer without q, k and v holds the weights themselves.
        return {id(self): 4 * heads * (queries + 2 * keys) * dim if dim else 4 * heads * queries * keys}

    def pooled(
        self: RecordedLayer, head: int | None, queries: Sequence[int], keys: Sequence[int], shape: tuple[int, int]
    ) -> Array:
        """Weights between some tokens, max-pooled; NaN where the mask forbids the whole group.

        Args:
            head: None for all; queries, keys: positions in rising order.
            shape: number of groups of neighbouring queries, and of keys; each group shows its largest weight.

        Returns:
            float32 [head or 1, shape[0], shape[1]]
        """
        weights, rows, columns = self.weights(), as_index(queries), as_index(keys)
        maps = weights if head is None else weights[head : head + 1]
        maps, allowed = maps[:, rows][..., columns], self.array("allowed")[rows][:, columns]
        return max_pool(maps, allowed, pooling_groups(allowed.shape, shape))

    def strongest(
        self: RecordedLayer, head: int, queries: Sequence[int], keys: Sequence[int], count: int
    ) -> tuple[Array, Array, Array]:
        """The largest weights between some tokens, in row-major order.

        Returns:
            Indices into `queries`, indices into `keys`, and the weights; fewer than `count` where there are no more.
        """
        return largest_cells(self.weights()[head, as_index(queries)][:, as_index(keys)], count)

    def overview(self: RecordedLayer, side: int) -> LayerOverview:
        """Maps pooled to at most side · side, entropy and strongest cell of every head."""
        weights = self.weights()
        allowed, entropy = self.array("allowed"), entropy_bits(weights).mean(axis=-1)
        return overview(weights, allowed, entropy, pooling_groups(allowed.shape, capped_shape(allowed.shape, side)))

    def select(self: RecordedLayer, heads: range, queries: Sequence[int]) -> RecordedLayer:
        """The layer restricted to some neighbouring heads and to some queries, in rising order."""
        return LayerSlice(self, heads, queries)

    def merged_into_words(self: RecordedLayer, queries: WordPieces, keys: WordPieces) -> RecordedLayer:
        """The layer between words instead of pieces of words; it has weights only."""
        return WordLayer(self, queries, keys)

    def across_layers(self, measure: str, layers: Sequence[RecordedLayer], *arguments: int) -> Array:
        """A measure over all layers of a kind, by its name in `model.maps.across_layers_torch.MEASURES`."""
        from model.maps.across_layers_torch import MEASURES  # needs PyTorch, which an app that uses a server may lack

        return MEASURES[measure](layers, *arguments)


@dataclass(frozen=True, eq=False)
class LayerSlice(LayerMaps):
    """Some heads and some queries of a layer."""

    layer: RecordedLayer
    heads: range
    queries: Sequence[int]

    @property
    def scale(self) -> float:
        return self.layer.scale

    @property
    def softcap(self) -> float | None:
        return self.layer.softcap

    @property
    def shape(self) -> tuple[int, int, int, int]:
        _, _, keys, dim = self.layer.shape
        return (len(self.heads), len(self.queries), keys, dim)

    def weights(self) -> Array:
        return self._selected(self.layer.weights())

    def scores(self, masked: bool = True) -> Array:
        return self._selected(self.layer.scores(masked))

    def array(self, name: str) -> Array:
        whole = self.layer.array(name)
        if name == "allowed":
            return whole[as_index(self.queries)]
        return whole[as_index(self.heads)] if name in ("key", "value", "sinks") else self._selected(whole)

    def _selected(self, whole: Array) -> Array:
        """The selected heads and queries of an array. [head, query, ...]"""
        return whole[as_index(self.heads)][:, as_index(self.queries)]


@dataclass(frozen=True, eq=False)
class WordLayer(LayerMaps):
    """One layer between words: to a word the sum over its pieces, from a word their mean (Clark et al. 2019).

    Attributes:
        layer: between pieces.
        queries, keys: the pieces of each word.
    """

    layer: RecordedLayer
    queries: WordPieces
    keys: WordPieces
    scale: float = float("nan")
    softcap: float | None = None

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return (self.layer.shape[0], len(self.queries), len(self.keys), 0)

    def weights(self) -> Array:
        sizes = np.array([len(word) for word in self.queries], np.float32)
        return self._reduce_pieces(np.add, self.layer.weights()) / sizes[:, None]

    def array(self, name: str) -> Array:
        if name != "allowed":
            raise ValueError(f"Words have no {name} of their own: each of their pieces has.")
        return self._reduce_pieces(np.logical_or, self.layer.array("allowed"))

    def scores(self, masked: bool = True) -> Array:
        raise ValueError("Words have no scores of their own: each of their pieces has.")

    def select(self, heads: range, queries: Sequence[int]) -> Self:
        words = [self.queries[query] for query in queries]
        ends = np.cumsum([len(word) for word in words]).tolist()
        renumbered = tuple(tuple(range(end - len(word), end)) for word, end in zip(words, ends, strict=True))
        pieces = [piece for word in words for piece in word]
        return replace(self, layer=self.layer.select(heads, pieces), queries=renumbered)

    def pooled(self, head: int | None, queries: Sequence[int], keys: Sequence[int], shape: tuple[int, int]) -> Array:
        heads = range(self.shape[0]) if head is None else range(head, head + 1)
        return LayerMaps.pooled(self.select(heads, queries), None, range(len(queries)), keys, shape)

    def strongest(
        self, head: int, queries: Sequence[int], keys: Sequence[int], count: int
    ) -> tuple[Array, Array, Array]:
        return LayerMaps.strongest(self.select(range(head, head + 1), queries), 0, range(len(queries)), keys, count)

    def _reduce_pieces(self, operation: np.ufunc, cells: Array) -> Array:
        """Reduction over the pieces of words. [..., query piece, key piece] -> [..., query word, key word]"""
        to_words = operation.reduceat(cells, [word[0] for word in self.keys], axis=-1)
        return operation.reduceat(to_words, [word[0] for word in self.queries], axis=-2)
