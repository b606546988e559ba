"""Attention rollout and attention flow through the layers of a stack (Abnar & Zuidema 2020; NumPy only)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from model.arrays.types import Array
from model.turns import rest_in_slices


def rollout(layers: Iterable[Array], query: int) -> Array:
    """Attention rollout: the share of each input token in one token after the topmost layer.

    Later layers stand on the left, A_2 A_1 x, so a row of the product needs one layer at a time, from the top down.

    Args:
        layers: self-attention with the residual connection included, last layer first. [query, key] each
        query: position of the token that is traced back.

    Returns:
        [input token]
    """
    from_top = iter(layers)
    row = next(from_top)[query]
    for layer in from_top:
        row = row @ layer
    return row


def rollout_map(layers: Iterable[Array]) -> Array:
    """Attention rollout of every token after the topmost layer; rows sum to 1. [token, input token]

    Args:
        layers: as for `rollout`, but first layer first.
    """
    from_bottom = iter(layers)
    product = next(from_bottom)
    for layer in from_bottom:
        product = layer @ product
    return product


def flow(layers: Array, depth: int, query: int) -> Array:
    """Attention flow: the maximum flow from one token after layer `depth` down to each input token.

    Each weight is an edge of that capacity. Unlike in rollout, paths that use the same edge share its capacity.

    Args:
        layers: as for `rollout`, but first layer first. [layer, query, key]
        depth: index of the layer that the flow starts above.
        query: position of the token that the flow starts from.

    Returns:
        [input token]
    """
    import networkx as nx

    graph = nx.DiGraph()
    count = layers.shape[-1]
    for layer in range(depth + 1):
        graph.add_weighted_edges_from(
            (((layer + 1, q), (layer, k), float(layers[layer, q, k])) for q in range(count) for k in range(count)),
            weight="capacity",
        )
    found = []
    for k in range(count):
        rest_in_slices()
        found.append(nx.maximum_flow_value(graph, (depth + 1, query), (0, k)))
    return np.array(found)
