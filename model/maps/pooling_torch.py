"""What is drawn of a map, worked out on the device that the map is on: `model.maps.pooling` in PyTorch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from model.arrays.torch_to_numpy import to_numpy
from model.arrays.types import Array
from model.maps.pooling import at, at_most
from model.trace.recorded_layer import LayerOverview

LEAST = -1e30  # in place of -inf, which times 0 is no number


class There(Protocol):
    """A layer whose numbers are on a device."""

    @property
    def allowed(self) -> Tensor: ...

    def weights_tensor(self) -> Tensor: ...


def drawn(part: There, keys: Sequence[int], shape: tuple[int, int]) -> Array:
    """What `model.maps.layer_maps.LayerMaps.drawn` finds for all heads and queries of a part of a layer."""
    return to_numpy(pooled(part.weights_tensor()[..., at(keys)], part.allowed[..., at(keys)], shape))


def strongest(part: There, keys: Sequence[int], count: int) -> tuple[Array, Array, Array]:
    """What `model.maps.layer_maps.LayerMaps.strongest` finds for the one head and all queries of a part of a layer."""
    rows, columns, weights = largest(part.weights_tensor()[0, :, at(keys)], count)
    return to_numpy(rows), to_numpy(columns), to_numpy(weights)


def overview(weights: Tensor, entropy: Tensor, allowed: Tensor, side: int) -> LayerOverview:
    """All heads at a glance. weights: [head, query, key]; entropy: of each head; allowed: bool [query, key]."""
    best, place = weights.flatten(1).max(dim=-1)
    rows, columns = allowed.shape
    maps = pooled(weights, allowed, at_most((rows, columns), side))
    return LayerOverview(*map(to_numpy, (maps, entropy, place, best)))


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


def entropy_bits(scores: Tensor, weights: Tensor) -> Tensor:
    """Entropy of each row of a softmax, in bits; 0 where nothing may be looked at.

    From -log p = log Σ e^score - score: a logarithm for each row, where the definition takes one for each cell.

    Args:
        scores: [..., key], -inf where masked; cannot be used any more. weights: their softmax.
    """
    strongest = weights.amax(dim=-1)
    total = scores.amax(dim=-1) - strongest.log()  # log Σ e^score
    mean = torch.mul(weights, scores.clamp_(min=LEAST), out=scores).sum(dim=-1)
    return torch.where(strongest > 0, (total - mean) / math.log(2), 0.0).clamp_(min=0)
