"""What is looked at of a layer, taken from all its weights; also of a part of it, and between words (NumPy only)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from model.arrays.types import Array
from model.maps.entropy import entropy_bits
from model.maps.pooling import at, at_most, groups, is_small, largest, overview, pooled
from model.trace.recorded_layer import LayerOverview, RecordedLayer, Words


class LayerMaps:
    """Looks at a layer, taken from all its weights; who computes them elsewhere has ways of its own."""

    @property
    def at_once(self: RecordedLayer) -> int:
        """How many layers are best looked at at the same time, in threads of their own."""
        return 1 if is_small(self.shape) else min(os.cpu_count() or 1, 8)

    @property
    def memory(self: RecordedLayer) -> dict[int, int]:
        """What is kept to compute the maps from: bytes by an address, so that what layers share counts once."""
        heads, queries, keys, dim = self.shape
        # Without q, k and v there are the weights themselves.
        return {id(self): 4 * heads * (queries + 2 * keys) * dim if dim else 4 * heads * queries * keys}

    def drawn(
        self: RecordedLayer, head: int | None, queries: Sequence[int], keys: Sequence[int], shape: tuple[int, int]
    ) -> Array:
        """Weights between some tokens, pooled; NaN where nothing may be looked at.

        Args:
            head: None for all; queries, keys: in rising order.
            shape: into how many groups of neighbours the queries and the keys are pooled; each shows its strongest.

        Returns:
            float32 [head or 1, shape[0], shape[1]]
        """
        weights, rows, columns = self.weights(), at(queries), at(keys)
        maps = weights if head is None else weights[head : head + 1]
        maps, allowed = maps[:, rows][..., columns], self.array("allowed")[rows][:, columns]
        return pooled(maps, allowed, groups(allowed.shape, shape))

    def strongest(
        self: RecordedLayer, head: int, queries: Sequence[int], keys: Sequence[int], count: int
    ) -> tuple[Array, Array, Array]:
        """The largest weights between some tokens.

        Returns:
            Their places in `queries` and in `keys`, row by row, and the weights. [count or all there are]
        """
        return largest(self.weights()[head, at(queries)][:, at(keys)], count)

    def overview(self: RecordedLayer, side: int) -> LayerOverview:
        """All heads at a glance, pooled to maps of at most side · side."""
        weights = self.weights()
        allowed, entropy = self.array("allowed"), entropy_bits(weights).mean(axis=-1)
        return overview(weights, allowed, entropy, groups(allowed.shape, at_most(allowed.shape, side)))

    def part(self: RecordedLayer, heads: range, queries: Sequence[int]) -> RecordedLayer:
        """Some neighbouring heads and some queries, in rising order, as a layer of its own."""
        return Part(self, heads, queries)

    def between(self: RecordedLayer, queries: Words, keys: Words) -> RecordedLayer:
        """Between words instead of pieces, as a layer of its own."""
        return WordLayer(self, queries, keys)

    def together(self, what: str, layers: Sequence[RecordedLayer], *where: int) -> Array:
        """A measure over all layers of a kind, by its name in `model.maps.all_layers_torch.KNOWN`."""
        from model.maps.all_layers_torch import KNOWN  # with PyTorch, which who asks a server can do without

        return KNOWN[what](layers, *where)


@dataclass(frozen=True, eq=False)
class Part(LayerMaps):
    """Some heads and queries of a layer."""

    layer: RecordedLayer
    heads: range
    queries: Sequence[int]

    @property
    def scale(self) -> float:
        return self.layer.scale

    @property
    def shape(self) -> tuple[int, int, int, int]:
        _, _, keys, dim = self.layer.shape
        return (len(self.heads), len(self.queries), keys, dim)

    def weights(self) -> Array:
        return self._rows(self.layer.weights())

    def scores(self, masked: bool = True) -> Array:
        return self._rows(self.layer.scores(masked))

    def array(self, name: str) -> Array:
        whole = self.layer.array(name)
        if name == "allowed":
            return whole[at(self.queries)]
        return whole[at(self.heads)] if name in ("key", "value") else self._rows(whole)

    def _rows(self, whole: Array) -> Array:
        """[head, query, ...]"""
        return whole[at(self.heads)][:, at(self.queries)]


@dataclass(frozen=True, eq=False)
class WordLayer(LayerMaps):
    """One layer between words: to a word the sum over its pieces, from a word their mean (Clark et al. 2019).

    Attributes:
        layer: between pieces.
    """

    layer: RecordedLayer
    queries: Words
    keys: Words
    scale: float = float("nan")

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return (self.layer.shape[0], len(self.queries), len(self.keys), 0)

    def weights(self) -> Array:
        sizes = np.array([len(word) for word in self.queries], np.float32)
        return self._joined(np.add, self.layer.weights()) / sizes[:, None]

    def array(self, name: str) -> Array:
        if name != "allowed":
            raise ValueError(f"Words have no {name} of their own: each of their pieces has.")
        return self._joined(np.logical_or, self.layer.array("allowed"))

    def scores(self, masked: bool = True) -> Array:
        raise ValueError("Words have no scores of their own: each of their pieces has.")

    def part(self, heads: range, queries: Sequence[int]) -> Self:
        words = [self.queries[query] for query in queries]
        ends = np.cumsum([len(word) for word in words]).tolist()
        places = tuple(tuple(range(end - len(word), end)) for word, end in zip(words, ends, strict=True))
        return replace(self, layer=self.layer.part(heads, [piece for word in words for piece in word]), queries=places)

    def drawn(self, head: int | None, queries: Sequence[int], keys: Sequence[int], shape: tuple[int, int]) -> Array:
        heads = range(self.shape[0]) if head is None else range(head, head + 1)
        return LayerMaps.drawn(self.part(heads, queries), None, range(len(queries)), keys, shape)

    def strongest(
        self, head: int, queries: Sequence[int], keys: Sequence[int], count: int
    ) -> tuple[Array, Array, Array]:
        return LayerMaps.strongest(self.part(range(head, head + 1), queries), 0, range(len(queries)), keys, count)

    def _joined(self, operation: np.ufunc, cells: Array) -> Array:
        """[..., query piece, key piece] -> [..., query word, key word]"""
        to_words = operation.reduceat(cells, [word[0] for word in self.keys], axis=-1)
        return operation.reduceat(to_words, [word[0] for word in self.queries], axis=-2)
