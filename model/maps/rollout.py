"""Comparing attention patterns and states: alignment, divergence, similarity, rollout and flow (NumPy only)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from model.arrays.types import Array


def rollout(layers: Iterable[Array], query: int) -> Array:
    """How much of each input token is in one token after the uppermost layer (Abnar & Zuidema 2020).

    Later layers stand on the left, A_2 A_1 x, so a row of the product needs one layer at a time, from the top down.

    Args:
        layers: self-attention with the residual in it, last layer first. [query, key] each

    Returns:
        [input token]
    """
    from_top = iter(layers)
    row = next(from_top)[query]
    for layer in from_top:
        row = row @ layer
    return row


def flow(layers: Array, depth: int, query: int) -> Array:
    """The largest flow from one token after layer `depth` down to each input token (Abnar & Zuidema 2020).

    Each weight is a pipe of that capacity. Unlike rollout, paths that share a pipe must share it.

    Args:
        layers: as for `rollout`, but first layer first. [layer, query, key]

    Returns:
        [input token]
    """
    import networkx as nx

    pipes = nx.DiGraph()
    count = layers.shape[-1]
    for layer in range(depth + 1):
        pipes.add_weighted_edges_from(
            (((layer + 1, q), (layer, k), float(layers[layer, q, k])) for q in range(count) for k in range(count)),
            weight="capacity",
        )
    return np.array([nx.maximum_flow_value(pipes, (depth + 1, query), (0, k)) for k in range(count)])
