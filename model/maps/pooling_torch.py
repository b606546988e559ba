"""Max pooling, largest cells and overview of attention maps, computed on the device that holds them.

The PyTorch version of `model.maps.pooling`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from model.arrays.torch_to_numpy import to_numpy
from model.arrays.types import Array
from model.maps.pooling import as_index, capped_shape
from model.trace.recorded_layer import LayerOverview


class DeviceLayer(Protocol):
    """A layer whose mask [query, key] and weights [head, query, key] are tensors on a device."""

    @property
    def allowed(self) -> Tensor: ...

    def weights_tensor(self) -> Tensor: ...


def pooled(layer: DeviceLayer, keys: Sequence[int], shape: tuple[int, int]) -> Array:
    """`LayerMaps.pooled` for all heads and all queries of a layer. float32 [head, *shape]"""
    index = as_index(keys)
    return to_numpy(max_pool(layer.weights_tensor()[..., index], layer.allowed[..., index], shape))


def strongest(layer: DeviceLayer, keys: Sequence[int], count: int) -> tuple[Array, Array, Array]:
    """`LayerMaps.strongest` for all queries of a layer with one head: rows, columns and weights. [count]"""
    rows, columns, weights = largest_cells(layer.weights_tensor()[0, :, as_index(keys)], count)
    return to_numpy(rows), to_numpy(columns), to_numpy(weights)


def overview(weights: Tensor, entropy: Tensor, allowed: Tensor, side: int) -> LayerOverview:
    """Maps pooled to at most side · side, entropy and strongest cell of every head.

    Args:
        weights: [head, query, key]; allowed: bool [query, key].
        entropy: mean over the queries, in bits. [head]
    """
    best, cell = weights.flatten(1).max(dim=-1)
    rows, columns = allowed.shape
    maps = max_pool(weights, allowed, capped_shape((rows, columns), side))
    return LayerOverview(*map(to_numpy, (maps, entropy, cell, best)))


def max_pool(weights: Tensor, allowed: Tensor, shape: tuple[int, int]) -> Tensor:
    """The largest weight of each group of neighbouring cells; NaN where the mask forbids the whole group.

    Args:
        weights: [head, query, key], 0 where the mask forbids; allowed: bool [query, key].
        shape: number of groups of queries and of keys.

    Returns:
        [head, shape[0], shape[1]]
    """
    for axis, count in enumerate(shape):
        weights, allowed = _max_groups(weights, count, axis + 1), _max_groups(allowed, count, axis)
    return weights.masked_fill(~allowed, math.nan)


def _max_groups(values: Tensor, count: int, axis: int) -> Tensor:
    """The largest value of each of `count` groups of neighbours along an axis."""
    length = values.shape[axis]
    if count == length:
        return values
    bounds = torch.arange(count + 1, device=values.device) * length // count
    starts, last = bounds[:-1], bounds[1:] - 1
    reduced = values.index_select(axis, starts)
    for step in range(1, -(-length // count)):
        reduced = torch.maximum(reduced, values.index_select(axis, torch.minimum(starts + step, last)))
    return reduced


def largest_cells(weights: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Rows, columns and values of the `count` largest weights, in row-major order. weights: [query, key]"""
    flat = weights.reshape(-1)
    cells = flat.topk(min(count, len(flat)), sorted=False).indices.sort().values
    columns = max(weights.shape[1], 1)
    return cells // columns, cells % columns, flat[cells]
