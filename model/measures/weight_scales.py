"""Comparing attention patterns and states: alignment, divergence, similarity, rollout and flow (NumPy only)."""

from __future__ import annotations

import numpy as np

from model.arrays.types import Array
from model.trace.tokens import Tokens

SCALES = ("weight", "log", "uniform", "norm")


FLOOR = 1e-4  # weights below it look the same on the logarithmic scale


def scaled(weights: Array, allowed: Array, scale: str) -> Array:
    """Weights as they are, as powers of ten, or as multiples of an even look at all that may be seen. [..., q, k]"""
    if scale == "log":
        return np.log10(np.maximum(weights, FLOOR))
    if scale == "uniform":
        return weights * allowed.sum(-1, keepdims=True)
    return weights


def value_norms(weights: Array, value: Array, w_o: Array) -> Array:
    """How long a vector each key really adds: the weight times the length of its value behind W_O.

    ‖α f(x)‖ with f(x) = (x W_V + b_V) W_O, of one head (Kobayashi et al. 2020).

    Args:
        weights: [query, key]; value: [key, head_dim]; w_o: the head's rows of W_O. [head_dim, d]

    Returns:
        [query, key]
    """
    return weights * np.linalg.norm(value @ w_o, axis=-1)


def without_sink(weights: Array, keys: Tokens) -> tuple[Array, float]:
    """Weights without the tokens that heads rest on (special ones and the first), each row made to sum to 1 again.

    Returns:
        [..., query, key] with 0 in the columns left out, and the mean share that was taken away. A row that looked
        nowhere else is 0.
    """
    sink = np.array(keys.special, bool)
    sink[0] = True
    kept = np.where(sink, 0, weights)
    total = kept.sum(-1, keepdims=True)
    removed = float((weights.sum(-1, keepdims=True) - total).mean())
    return np.divide(kept, total, out=np.zeros_like(kept), where=total > 0), removed
