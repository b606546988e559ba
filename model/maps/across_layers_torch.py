"""Measures over all layers of one kind of attention, computed on the device that holds the layers."""

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
from model.turns import rest_in_slices

BLOCK_CELLS = 10_000_000  # weights of all heads whose products are computed at once
TINY = torch.finfo(torch.float32).tiny


def head_similarity(layers: Sequence[RecordedLayer], layer: int, head: int, step: int) -> Array:
    """Jensen-Shannon similarity of every head to one head: 1 minus the mean divergence of their rows (Lin 1991).

    Args:
        layer, head: the head that all are compared with.
        step: only every `step`-th query's row is compared.

    Returns:
        [layer, head], 0 to 1
    """
    queries = range(0, layers[0].shape[1], step)
    reference = _weights(layers[layer], queries)[head]
    similarities = [1 - _jensen_shannon(_weights(one, queries), reference).mean(dim=-1) for one in layers]
    return to_numpy(torch.stack(similarities))


def head_inner_products(layers: Sequence[RecordedLayer], step: int) -> Array:
    """Inner products of all pairs of heads: of the square roots of their weights, less the mean over all heads.

    Args:
        step: only every `step`-th query's row is used.

    Returns:
        [layer · heads + head, layer · heads + head]
    """
    heads, count, keys = layers[0].shape[:3]
    queries = range(0, count, step)
    at_once = max(BLOCK_CELLS // (len(layers) * heads * keys), 1)
    total = torch.zeros(())
    for start in range(0, len(queries), at_once):
        block = queries[start : start + at_once]
        roots = torch.stack([_weights(one, block).sqrt_().flatten(1) for one in layers]).flatten(0, 1)
        roots -= roots.mean(dim=0)
        # There are fewer heads than cells: the inner products have the same principal components, in a small matrix.
        total = roots @ roots.T + total.to(roots.device)
    return to_numpy(total)


def attention_with_residual(layers: Sequence[RecordedLayer], layer: int) -> Array:
    """A layer's mean weights over heads, averaged with the residual connection: (W + I) / 2 (Abnar & Zuidema 2020).

    Returns:
        float64 [query, key]
    """
    return to_numpy(_with_residual(layers[layer]))


def rollout(layers: Sequence[RecordedLayer], depth: int, query: int) -> Array:
    """Attention rollout of one token after layer `depth`, as `model.maps.rollout.rollout`. [input token]"""
    from_top: Any = (_with_residual(layers[layer]) for layer in range(depth, -1, -1))
    row: Any = numpy_rollout.rollout(from_top, query)
    return to_numpy(row)


# The measures that `RecordedLayer.across_layers` and a server know, by name.
MEASURES: dict[str, Callable[..., Array]] = {
    one.__name__: one for one in (head_similarity, head_inner_products, attention_with_residual, rollout)
}


def _with_residual(layer: RecordedLayer) -> Tensor:
    """(W + I) / 2 of the mean weights over heads. float64 [query, key]"""
    means = _weights(layer, range(layer.shape[1])).mean(dim=0).double()
    return (means + torch.eye(len(means), dtype=means.dtype, device=means.device)) / 2


def _jensen_shannon(p: Tensor, q: Tensor) -> Tensor:
    """Jensen-Shannon divergence in bits, as `model.measures.similarity.jensen_shannon`. [..., key] -> [...]"""
    middle = (p + q).div_(2).clamp_(min=TINY)  # where both are 0, so is their contribution
    p_terms = torch.div(p, middle).clamp_(min=TINY).log_().mul_(p)
    q_terms = torch.div(q, middle, out=middle).clamp_(min=TINY).log_().mul_(q)
    return (p_terms.add_(q_terms).sum(dim=-1) / (2 * math.log(2))).clamp_(0, 1)


def _weights(layer: RecordedLayer, queries: range) -> Tensor:
    """Weights of some queries, on the device of the layer, in new memory. [head, query, key]"""
    rest_in_slices()
    selected = layer if len(queries) == layer.shape[1] else layer.select(range(layer.shape[0]), queries)
    weights_tensor = getattr(selected, "weights_tensor", None)  # only layers that PyTorch computes have it
    return torch.tensor(selected.weights()) if weights_tensor is None else weights_tensor()
