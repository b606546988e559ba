"""What is drawn of a map, worked out on the device that the map is on: `model.maps` in PyTorch."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def pooled(weights: Tensor, allowed: Tensor, shape: tuple[int, int]) -> Tensor:
    """The strongest of each group of neighbouring cells; NaN where nothing may be looked at.

    Args:
        weights: [head, query, key], 0 where the mask forbids; allowed: bool [query, key].
        shape: how many groups of queries and of keys.

    Returns:
        [head, shape[0], shape[1]]
    """
    for axis, count in enumerate(shape):
        weights, allowed = _farthest(weights, count, axis + 1), _farthest(allowed, count, axis)
    return weights.masked_fill(~allowed, math.nan)


def _farthest(values: Tensor, count: int, axis: int) -> Tensor:
    """The largest of each of `count` groups of neighbours along an axis."""
    length = values.shape[axis]
    if count == length:
        return values
    bounds = torch.arange(count + 1, device=values.device) * length // count
    starts, last = bounds[:-1], bounds[1:] - 1
    found = values.index_select(axis, starts)
    for step in range(1, -(-length // count)):
        found = torch.maximum(found, values.index_select(axis, torch.minimum(starts + step, last)))
    return found


def largest(weights: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Rows and columns of the largest weights, row by row, and the weights. [query, key]"""
    flat = weights.reshape(-1)
    places = flat.topk(min(count, len(flat)), sorted=False).indices.sort().values
    columns = max(weights.shape[1], 1)
    return places // columns, places % columns, flat[places]


def entropy_bits(weights: Tensor) -> Tensor:
    """Entropy of each row of weights, in bits. [..., key] -> [...]"""
    return torch.special.entr(weights).sum(dim=-1) / math.log(2)
