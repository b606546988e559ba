"""What is drawn of a layer's maps: of large ones nothing else leaves the place where they are computed (NumPy only)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

Array = np.ndarray
SMALL = 2**16  # cells of a layer that are sooner moved whole, and once, than asked for in parts


@dataclass(frozen=True, eq=False)
class Overview:
    """All heads of a layer at a glance.

    Attributes:
        maps: the strongest weight of each group of cells; NaN where nothing may be looked at. [head, row, column]
        entropy: in bits, mean over the queries. [head]
        place: of the strongest weight, query · keys + key. int [head]
        strongest: that weight. [head]
    """

    maps: Array
    entropy: Array
    place: Array
    strongest: Array


class Whole(Protocol):
    """A layer of which all weights can be had."""

    @property
    def shape(self) -> tuple[int, int, int, int]: ...

    def weights(self) -> Array: ...

    def array(self, name: str) -> Array: ...


class Maps:
    """Looks at a layer's maps, taken from all its weights; who computes them elsewhere has ways of its own.

    Attributes:
        side_by_side: whether looks at several layers take less time together, in threads, than one after the other.
    """

    side_by_side = True

    @property
    def memory(self: Whole) -> dict[int, int]:
        """What is kept to compute the maps from: bytes by an address, so that what layers share counts once."""
        heads, queries, keys, dim = self.shape
        # Without q, k and v there are the weights themselves.
        return {id(self): 4 * heads * (queries + 2 * keys) * dim if dim else 4 * heads * queries * keys}

    def drawn(
        self: Whole, head: int | None, queries: Sequence[int], keys: Sequence[int], shape: tuple[int, int]
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
        return pooled(maps[:, rows][..., columns], self.array("allowed")[rows][:, columns], shape)

    def strongest(
        self: Whole, head: int, queries: Sequence[int], keys: Sequence[int], count: int
    ) -> tuple[Array, Array, Array]:
        """The largest weights between some tokens.

        Returns:
            Their places in `queries` and in `keys`, row by row, and the weights. [count or all there are]
        """
        return largest(self.weights()[head, at(queries)][:, at(keys)], count)

    def overview(self: Whole, side: int) -> Overview:
        """All heads at a glance, pooled to maps of at most side · side."""
        weights = self.weights()
        return overview(weights, self.array("allowed"), side, entropy_bits(weights).mean(axis=-1))


def at(places: Sequence[int]) -> slice | list[int]:
    """What picks some places out of an array: nothing is copied where they stand side by side."""
    first, last = (places[0], places[-1]) if len(places) else (0, -1)
    return slice(first, last + 1) if last - first + 1 == len(places) else list(places)


def is_small(shape: tuple[int, ...]) -> bool:
    """Whether a layer of (heads, queries, keys, ...) is sooner moved whole."""
    heads, queries, keys = shape[:3]
    return heads * queries * keys <= SMALL


def overview(weights: Array, allowed: Array, side: int, entropy: Array) -> Overview:
    """All heads at a glance. weights: [head, query, key]; allowed: bool [query, key]; entropy: of each head."""
    flat = weights.reshape(len(weights), -1)
    place = flat.argmax(axis=-1)
    return Overview(
        pooled(weights, allowed, at_most(weights.shape[1:], side)), entropy, place, flat[np.arange(len(flat)), place]
    )


def at_most(shape: tuple[int, ...], side: int) -> tuple[int, int]:
    """The shape of a map, no side of it longer than `side`."""
    rows, columns = shape
    return min(rows, side), min(columns, side)


def pooled(weights: Array, allowed: Array, shape: tuple[int, int]) -> Array:
    """The strongest of each group of neighbouring cells; NaN where nothing may be looked at.

    Args:
        weights: [head, query, key], 0 where the mask forbids; allowed: bool [query, key].
        shape: how many groups of queries and of keys.
    """
    for axis, count in enumerate(shape):
        groups = starts(allowed.shape[axis], count)
        weights = farthest(weights, groups, axis + 1)
        allowed = farthest(allowed, groups, axis, np.logical_or)
    return np.where(allowed, weights, np.float32(np.nan))


def starts(length: int, count: int) -> Array:
    """Where each of `count` groups of neighbours starts."""
    return np.arange(count) * length // max(count, 1)


def farthest(values: Array, starts: Array, axis: int, which: np.ufunc = np.fmax) -> Array:
    """The largest of each group of neighbours along an axis, or the smallest; NaN only where a whole group is NaN.

    As `which.reduceat`, which takes six times as long.

    Args:
        starts: where each group starts, rising from 0.
    """
    if len(starts) == values.shape[axis]:
        return values
    ends = np.append(starts[1:], values.shape[axis])
    found = np.take(values, starts, axis=axis)
    for step in range(1, int((ends - starts).max())):
        which(found, np.take(values, np.minimum(starts + step, ends - 1), axis=axis), out=found)
    return found


def largest(values: Array, count: int) -> tuple[Array, Array, Array]:
    """Rows and columns of the largest values, row by row, and the values. [row, column]"""
    flat = values.ravel()
    places = np.arange(flat.size) if flat.size <= count else np.sort(np.argpartition(flat, -count)[-count:])
    return *np.divmod(places, max(values.shape[1], 1)), flat[places]


def entropy_bits(weights: Array) -> Array:
    """Entropy of each row of weights: 0 where one key takes all, log2(keys) where all are equal. [..., key] -> [...]"""
    # NumPy's natural logarithm is several times faster than its others; 0 · log 0 counts as 0.
    logs = np.log(np.maximum(weights, np.finfo(np.float32).tiny))
    return np.asarray(np.einsum("...k,...k->...", weights, logs) * weights.dtype.type(-1 / np.log(2)))
