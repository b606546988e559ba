"""What is drawn of a layer's maps: of large ones nothing else leaves the place where they are computed (NumPy only)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from model.arrays.types import Array
from model.trace.recorded_layer import LayerOverview

Groups = tuple[Array, Array]  # where each group of neighbouring queries, and of keys, starts


SMALL = 2**16  # cells of a layer that are sooner moved whole, and once, than asked for in parts


def at(places: Sequence[int]) -> slice | list[int]:
    """What picks some places out of an array: nothing is copied where they stand side by side."""
    first, last = (places[0], places[-1]) if len(places) else (0, -1)
    return slice(first, last + 1) if last - first + 1 == len(places) else list(places)


def is_small(shape: tuple[int, ...]) -> bool:
    """Whether a layer of (heads, queries, keys, ...) is sooner moved whole."""
    heads, queries, keys = shape[:3]
    return heads * queries * keys <= SMALL


def overview(weights: Array, allowed: Array, entropy: Array, groups: Groups) -> LayerOverview:
    """All heads at a glance. weights: [head, query, key]; allowed: bool [query, key]; entropy: of each head."""
    maps = pooled(weights, allowed, groups)
    # The strongest weight is in the first group of queries that shows it: the rest need not be looked through.
    bounds = np.append(groups[0], weights.shape[1])
    group = np.fmax.reduce(maps, axis=-1, initial=0).argmax(axis=-1)
    steps = np.arange(np.diff(bounds).max(initial=0))
    rows = np.minimum(bounds[group][:, None] + steps, bounds[group + 1][:, None] - 1)
    heads = np.arange(len(weights))
    part = weights[heads[:, None], rows].reshape(len(weights), -1)
    best = part.argmax(axis=-1)
    row, key = np.divmod(best, weights.shape[2])
    place, strongest = rows[heads, row] * weights.shape[2] + key, part[heads, best]
    return LayerOverview(maps, entropy, place, strongest)


def among(seen: LayerOverview, queries: range, keys: int, columns: int, reach: int) -> LayerOverview:
    """A look at some queries and the first keys, as a part of one at all.

    Args:
        seen: of the first `reach` keys, beyond which these queries may not look.
        columns: how many groups all keys are pooled into.
    """
    beyond = np.full((*seen.maps.shape[:2], columns - seen.maps.shape[2]), np.nan, np.float32)
    query, key = np.divmod(seen.place, reach)
    place = (queries.start + query) * keys + key
    return replace(seen, maps=np.concatenate([seen.maps, beyond], axis=2), place=place)


def below(bands: Sequence[LayerOverview], sizes: Sequence[int]) -> LayerOverview:
    """All queries, from bands of some queries each. sizes: how many."""
    entropy = np.average([band.entropy for band in bands], axis=0, weights=sizes).astype(np.float32)
    strongest = np.stack([band.strongest for band in bands])
    best = strongest.argmax(axis=0), np.arange(strongest.shape[1])  # the first of equal ones
    place = np.stack([band.place for band in bands])[best]
    return LayerOverview(np.concatenate([band.maps for band in bands], axis=1), entropy, place, strongest[best])


def at_most(shape: tuple[int, ...], side: int) -> tuple[int, int]:
    """The shape of a map, no side of it longer than `side`."""
    rows, columns = shape
    return min(rows, side), min(columns, side)


def pooled(weights: Array, allowed: Array, groups: Groups) -> Array:
    """The strongest of each group of neighbouring cells; NaN where nothing may be looked at.

    Args:
        weights: [head, query, key], 0 where the mask forbids; allowed: bool [query, key].
    """
    everywhere = allowed.all()
    for axis, first in enumerate(groups):
        weights = farthest(weights, first, axis + 1)
        allowed = allowed if everywhere else farthest(allowed, first, axis, np.logical_or)
    return np.array(weights) if everywhere else np.where(allowed, weights, np.float32(np.nan))


def groups(whole: tuple[int, ...], shape: tuple[int, int]) -> Groups:
    """Where the groups start into which the queries and keys of a map are pooled. whole: its shape; shape: theirs."""
    queries, keys = (starts(length, count) for length, count in zip(whole, shape, strict=True))
    return queries, keys


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
    widest = int((ends - starts).max())
    if len(starts) < 8 * widest and axis < values.ndim - 1:  # few steps, and each along rows as they lie in memory
        return np.stack([which.reduce(part, axis=axis) for part in np.split(values, starts[1:], axis=axis)], axis=axis)
    found = np.take(values, starts, axis=axis)
    for step in range(1, widest):
        which(found, np.take(values, np.minimum(starts + step, ends - 1), axis=axis), out=found)
    return found


def largest(values: Array, count: int) -> tuple[Array, Array, Array]:
    """Rows and columns of the largest values, row by row, and the values. [row, column]"""
    flat = values.ravel()
    places = np.arange(flat.size)
    if len(values) > count:  # what is smaller than the largest of so many rows is not among them
        places = np.flatnonzero(flat >= np.partition(values.max(axis=1, initial=0), -count)[-count])
    if len(places) > count:
        places = np.sort(places[np.argpartition(flat[places], -count)[-count:]])
    return *np.divmod(places, max(values.shape[1], 1)), flat[places]
