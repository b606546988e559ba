"""Max pooling of attention maps, their largest cells, and the overview of all heads of a layer (NumPy only)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from model.arrays.types import Array
from model.trace.recorded_layer import LayerOverview

Groups = tuple[Array, Array]  # the first index of each group of neighbouring queries, and of keys
SMALL_CELLS = 2**16  # up to here a layer's whole weights are computed and sent once, instead of each part on demand


def as_index(positions: Sequence[int]) -> slice | list[int]:
    """An index that selects some rising positions: a slice, which copies nothing, where they are contiguous."""
    first, last = (positions[0], positions[-1]) if len(positions) else (0, -1)
    return slice(first, last + 1) if last - first + 1 == len(positions) else list(positions)


def is_small(shape: tuple[int, ...]) -> bool:
    """True where a layer of shape (heads, queries, keys, ...) has so few cells that it is handled whole."""
    heads, queries, keys = shape[:3]
    return heads * queries * keys <= SMALL_CELLS


def overview(weights: Array, allowed: Array, entropy: Array, groups: Groups) -> LayerOverview:
    """Pooled maps, entropy and strongest cell of every head.

    Args:
        weights: [head, query, key]; allowed: bool [query, key].
        entropy: mean over the queries, in bits. [head]
        groups: what the maps are pooled into.
    """
    maps = max_pool(weights, allowed, groups)
    # The strongest weight is in the first group of queries whose pooled value equals it: only that one is searched.
    bounds = np.append(groups[0], weights.shape[1])
    group = np.fmax.reduce(maps, axis=-1, initial=0).argmax(axis=-1)
    steps = np.arange(np.diff(bounds).max(initial=0))
    rows = np.minimum(bounds[group][:, None] + steps, bounds[group + 1][:, None] - 1)
    heads = np.arange(len(weights))
    candidates = weights[heads[:, None], rows].reshape(len(weights), -1)
    best = candidates.argmax(axis=-1)
    row, key = np.divmod(best, weights.shape[2])
    return LayerOverview(maps, entropy, rows[heads, row] * weights.shape[2] + key, candidates[heads, best])


def expand_band(band: LayerOverview, queries: range, num_keys: int, num_columns: int, band_keys: int) -> LayerOverview:
    """The overview of a band of queries, in the cells of the whole layer: NaN for the keys it was computed without.

    Args:
        band: overview of `queries` and the first `band_keys` keys; their mask forbids all later keys.
        num_keys, num_columns: keys of the layer, and groups that they are pooled into.
    """
    masked = np.full((*band.maps.shape[:2], num_columns - band.maps.shape[2]), np.nan, np.float32)
    query, key = np.divmod(band.strongest_cell, band_keys)
    cell = (queries.start + query) * num_keys + key
    return replace(band, maps=np.concatenate([band.maps, masked], axis=2), strongest_cell=cell)


def concatenate_bands(bands: Sequence[LayerOverview], sizes: Sequence[int]) -> LayerOverview:
    """The overview of all queries, from overviews of consecutive bands. sizes: number of queries in each band."""
    entropy = np.average([band.entropy for band in bands], axis=0, weights=sizes).astype(np.float32)
    strongest = np.stack([band.strongest for band in bands])
    best = strongest.argmax(axis=0), np.arange(strongest.shape[1])  # the first of equal ones
    cell = np.stack([band.strongest_cell for band in bands])[best]
    return LayerOverview(np.concatenate([band.maps for band in bands], axis=1), entropy, cell, strongest[best])


def capped_shape(shape: tuple[int, ...], side: int) -> tuple[int, int]:
    """The shape (rows, columns) of a map, with no side longer than `side`."""
    rows, columns = shape
    return min(rows, side), min(columns, side)


def max_pool(weights: Array, allowed: Array, groups: Groups) -> Array:
    """The largest weight of each group of neighbouring cells; NaN where the mask forbids the whole group.

    Args:
        weights: [head, query, key], 0 where the mask forbids; allowed: bool [query, key].

    Returns:
        float32 [head, query group, key group]
    """
    everywhere = allowed.all()
    for axis, first in enumerate(groups):
        weights = reduce_groups(weights, first, axis + 1)
        allowed = allowed if everywhere else reduce_groups(allowed, first, axis, np.logical_or)
    return np.array(weights) if everywhere else np.where(allowed, weights, np.float32(np.nan))


def pooling_groups(map_shape: tuple[int, ...], pooled_shape: tuple[int, int]) -> Groups:
    """The groups of neighbours that pool a map of one shape into another. Both shapes: (queries, keys)."""
    queries, keys = (group_starts(length, count) for length, count in zip(map_shape, pooled_shape, strict=True))
    return queries, keys


def group_starts(length: int, count: int) -> Array:
    """The first index of each of `count` groups of neighbours in an axis of a length. int [count]"""
    return np.arange(count) * length // max(count, 1)


def reduce_groups(values: Array, starts: Array, axis: int, operation: np.ufunc = np.fmax) -> Array:
    """The reduction of each group of neighbours along an axis; with `fmax`, NaN only where a whole group is NaN.

    Equal to `operation.reduceat`, which takes six times as long.

    Args:
        starts: first index of each group, rising from 0. [group]
        operation: idempotent, such as fmax, fmin or logical_or: a cell may be counted twice.
    """
    if len(starts) == values.shape[axis]:
        return values
    ends = np.append(starts[1:], values.shape[axis])
    widest = int((ends - starts).max())
    if len(starts) < 8 * widest and axis < values.ndim - 1:  # few reductions, each over rows contiguous in memory
        groups = np.split(values, starts[1:], axis=axis)
        return np.stack([operation.reduce(group, axis=axis) for group in groups], axis=axis)
    reduced = np.take(values, starts, axis=axis)
    for step in range(1, widest):
        operation(reduced, np.take(values, np.minimum(starts + step, ends - 1), axis=axis), out=reduced)
    return reduced


def largest_cells(values: Array, count: int) -> tuple[Array, Array, Array]:
    """Rows, columns and values of the `count` largest cells, in row-major order. values: [row, column]"""
    flat = values.ravel()
    cells = np.arange(flat.size)
    if len(values) > count:  # a cell below the `count`-th largest row maximum cannot be among them
        cells = np.flatnonzero(flat >= np.partition(values.max(axis=1, initial=0), -count)[-count])
    if len(cells) > count:
        cells = np.sort(cells[np.argpartition(flat[cells], -count)[-count:]])
    return *np.divmod(cells, max(values.shape[1], 1)), flat[cells]
