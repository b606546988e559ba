"""Comparing attention patterns and states: alignment, divergence, similarity, rollout and flow (NumPy only)."""

from __future__ import annotations

import numpy as np

from model.arrays.types import Array
from model.measures.alignment import Pairs, spread
from model.trace.attention import Attention

CELLS = 100_000_000  # weights that are compared at once, as float32


def jensen_shannon(p: Array, q: Array) -> Array:
    """Jensen-Shannon divergence in bits: 0 for equal distributions, 1 for ones that share nothing (Lin 1991).

    Args:
        p, q: distributions along the last axis. [..., key]
    """
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        both = [np.where(one > 0, one * np.log2(one / middle), 0).sum(-1) for one in (p, q)]
    return np.clip((both[0] + both[1]) / 2, 0, 1)


def row_divergence(a: Array, b: Array, rows: Pairs, columns: Pairs) -> Array:
    """Divergence of each aligned query's row; keys without a partner count as looked at by one side only.

    Args:
        a, b: weights of the two sides. [query, key]

    Returns:
        [aligned row]; NaN where a query has no partner.
    """
    left = np.nan_to_num(spread(a, [i for i, _ in rows], [i for i, _ in columns])).astype(np.float64)
    right = np.nan_to_num(spread(b, [j for _, j in rows], [j for _, j in columns])).astype(np.float64)
    alone = np.array([i is None or j is None for i, j in rows], bool)
    return np.where(alone, np.nan, jensen_shannon(left, right))


def stride(attention: Attention) -> int:
    """Every how many queries' rows are enough to compare all heads of all layers: 1 unless their maps fill a memory."""
    cells = attention.num_layers * attention.num_heads * len(attention.queries) * len(attention.keys)
    return -(-cells // CELLS)


def head_similarity(attention: Attention, layer: int, head: int, step: int = 1) -> Array:
    """How alike every head's pattern is to a chosen one's: 1 minus the mean divergence of the rows.

    Args:
        step: take every so many queries' rows only.

    Returns:
        [layer, head]
    """
    return attention.together("likeness", layer, head, step)


def head_map(attention: Attention, step: int = 1) -> tuple[Array, float]:
    """Each head's place in the plane that keeps most of what tells their patterns apart.

    Principal components of the square roots of the weights, whose distances are Hellinger distances.

    Args:
        step: take every so many queries' rows only.

    Returns:
        [layer, head, 2], and the share of the variance that the plane keeps.
    """
    power, vectors = np.linalg.eigh(attention.together("products", step).astype(np.float64))
    power, vectors = power[::-1].clip(0), vectors[:, ::-1]
    points = np.zeros((len(power), 2))
    shown = min(2, len(power))
    points[:, :shown] = (vectors * np.sqrt(power))[:, :shown]
    points *= np.where(points[np.abs(points).argmax(axis=0), [0, 1]] < 0, -1, 1)  # a sign that does not flip
    share = float(power[:2].sum() / power.sum().clip(1e-12))
    return points.reshape(attention.num_layers, attention.num_heads, 2), share
