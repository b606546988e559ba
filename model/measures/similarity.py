"""Similarity of attention patterns: Jensen-Shannon divergence and principal components of heads (NumPy only)."""

from __future__ import annotations

import numpy as np

from model.arrays.types import Array
from model.measures.alignment import AlignedPairs, expand_to_alignment
from model.trace.attention import Attention

MAX_CELLS = 100_000_000  # weights of all heads that are compared at once, as float32


def jensen_shannon(p: Array, q: Array) -> Array:
    """Jensen-Shannon divergence in bits: 0 for equal distributions, 1 for disjoint ones (Lin 1991).

    Args:
        p, q: distributions along the last axis. [..., key]

    Returns:
        [...]
    """
    mixture = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        both = [np.where(one > 0, one * np.log2(one / mixture), 0).sum(-1) for one in (p, q)]
    return np.clip((both[0] + both[1]) / 2, 0, 1)


def row_divergence(a: Array, b: Array, rows: AlignedPairs, columns: AlignedPairs) -> Array:
    """Jensen-Shannon divergence of two heads' rows for each aligned query, in bits.

    A key without a partner has weight 0 in the other text.

    Args:
        a, b: weights of the two heads. [query, key]
        rows, columns: aligned queries and aligned keys.

    Returns:
        float64 [aligned query]; NaN where a query has no partner.
    """
    left = np.nan_to_num(expand_to_alignment(a, [i for i, _ in rows], [i for i, _ in columns])).astype(np.float64)
    right = np.nan_to_num(expand_to_alignment(b, [j for _, j in rows], [j for _, j in columns])).astype(np.float64)
    unpaired = np.array([i is None or j is None for i, j in rows], bool)
    return np.where(unpaired, np.nan, jensen_shannon(left, right))


def query_stride(attention: Attention) -> int:
    """Step between queries at which a comparison of all heads uses at most `MAX_CELLS` weights; 1 where all fit."""
    cells = attention.num_layers * attention.num_heads * len(attention.queries) * len(attention.keys)
    return -(-cells // MAX_CELLS)


def head_similarity(attention: Attention, layer: int, head: int, step: int = 1) -> Array:
    """Jensen-Shannon similarity of every head to one head: 1 minus the mean divergence of their rows.

    Args:
        layer, head: the head to compare with.
        step: compare every `step`-th query's rows only.

    Returns:
        float32 [layer, head], from 0 to 1.
    """
    return attention.across_layers("head_similarity", layer, head, step)


def head_coordinates(attention: Attention, step: int = 1) -> tuple[Array, float]:
    """Coordinates of all heads along the first two principal components of their patterns.

    The components are those of the square roots of the weights, whose distances are Hellinger distances.

    Args:
        step: use every `step`-th query's rows only.

    Returns:
        float64 [layer, head, 2], and the share of the variance that the two components explain.
    """
    variance, vectors = np.linalg.eigh(attention.across_layers("head_inner_products", step).astype(np.float64))
    variance, vectors = variance[::-1].clip(0), vectors[:, ::-1]
    points = np.zeros((len(variance), 2))
    count = min(2, len(variance))
    points[:, :count] = (vectors * np.sqrt(variance))[:, :count]
    points *= np.where(points[np.abs(points).argmax(axis=0), [0, 1]] < 0, -1, 1)  # the sign is arbitrary: fix it
    share = float(variance[:2].sum() / variance.sum().clip(1e-12))
    return points.reshape(attention.num_layers, attention.num_heads, 2), share
