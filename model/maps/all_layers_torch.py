"""What all layers of a kind tell together, worked out where their maps are: only what is found leaves it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from model.arrays.torch_to_numpy import to_numpy
from model.arrays.types import Array
from model.maps import rollout as numpy_rollout
from model.trace.recorded_layer import RecordedLayer

TINY = torch.finfo(torch.float32).tiny


def likeness(layers: Sequence[RecordedLayer], layer: int, head: int, step: int) -> Array:
    """How alike every head's pattern is to a chosen one's: 1 minus the mean divergence of the rows (Lin 1991).

    Args:
        step: take every so many queries' rows only.

    Returns:
        [layer, head]
    """
    chosen = _weights(layers[layer], step)[head]
    return to_numpy(torch.stack([1 - _divergence(_weights(one, step), chosen).mean(dim=-1) for one in layers]))


def products(layers: Sequence[RecordedLayer], step: int) -> Array:
    """Inner products of all heads' patterns, as square roots of their weights without what they have in common.

    Args:
        step: as for `likeness`.

    Returns:
        [layer · heads + head, the same]
    """
    first = _weights(layers[0], step)
    roots = first.new_empty((len(layers), len(first), first[0].numel()))
    for place, one in enumerate(layers):
        torch.sqrt((_weights(one, step) if place else first).flatten(1), out=roots[place])
    flat = roots.flatten(0, 1)
    flat -= flat.mean(dim=0)
    # There are fewer heads than cells: the heads' inner products hold the same components, and are small.
    return to_numpy(flat @ flat.T)


def mixing(layers: Sequence[RecordedLayer], layer: int) -> Array:
    """A layer's mean over heads, half of it a token's own way past the attention. [query, key]

    The residual connection as Abnar & Zuidema 2020 put it: A = (W + I) / 2.
    """
    return to_numpy(_mixed(layers[layer]))


def rollout(layers: Sequence[RecordedLayer], depth: int, query: int) -> Array:
    """`model.maps.rollout.rollout` of one token after layer `depth`. [input token]"""
    down: Any = (_mixed(layers[layer]) for layer in range(depth, -1, -1))
    row: Any = numpy_rollout.rollout(down, query)
    return to_numpy(row)


# What a server may be asked for.
KNOWN: dict[str, Callable[..., Array]] = {one.__name__: one for one in (likeness, products, mixing, rollout)}


def _mixed(layer: RecordedLayer) -> Tensor:
    means = _weights(layer, 1).mean(dim=0).double()
    return (means + torch.eye(len(means), dtype=means.dtype, device=means.device)) / 2


def _divergence(p: Tensor, q: Tensor) -> Tensor:
    """As `model.measures.similarity.jensen_shannon`. [..., key] -> [...]"""
    middle = (p + q).div_(2).clamp_(min=TINY)  # where both are 0 so is what they add
    mine = torch.div(p, middle).clamp_(min=TINY).log_().mul_(p)
    other = torch.div(q, middle, out=middle).clamp_(min=TINY).log_().mul_(q)
    return (mine.add_(other).sum(dim=-1) / (2 * math.log(2))).clamp_(0, 1)


def _weights(layer: RecordedLayer, step: int) -> Tensor:
    """The rows of every so many queries, on the device where the layer is, as new memory. [head, query, key]"""
    heads, queries = layer.shape[:2]
    part = layer if step == 1 else layer.part(range(heads), range(0, queries, step))
    there = getattr(part, "weights_tensor", None)  # the layers that PyTorch has
    return torch.tensor(part.weights()) if there is None else there()
