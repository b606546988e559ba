"""Scales of attention weights, norms of weighted values, and weights without attention sinks (NumPy only)."""

from __future__ import annotations

import numpy as np

from model.arrays.types import Array
from model.trace.tokens import Tokens

SCALES = ("weight", "log", "uniform", "norm")
LOG_FLOOR = 1e-4  # smaller weights are raised to it on the logarithmic scale


def apply_scale(weights: Array, allowed: Array, scale: str) -> Array:
    """Weights on a scale of `SCALES`; unchanged for "weight" and for "norm", which `value_norms` computes.

    Args:
        weights: [..., query, key]; allowed: bool, broadcastable to it.
        scale: "log" gives the decimal logarithm, "uniform" multiples of uniform attention to all allowed keys.
    """
    if scale == "log":
        return np.log10(np.maximum(weights, LOG_FLOOR))
    if scale == "uniform":
        return weights * allowed.sum(-1, keepdims=True)
    return weights


def value_norms(weights: Array, value: Array, w_o: Array) -> Array:
    """Norms of the vectors that each key adds to each query in one head (Kobayashi et al. 2020).

    ‖α f(x)‖ with f(x) = (x W_V + b_V) W_O: the weight times the norm of the value after W_O.

    Args:
        weights: [query, key]; value: [key, head_dim]; w_o: the head's rows of W_O. [head_dim, d_model]

    Returns:
        [query, key]
    """
    return weights * np.linalg.norm(value @ w_o, axis=-1)


def drop_sink_tokens(weights: Array, keys: Tokens) -> tuple[Array, float]:
    """Weights without attention sinks (special tokens and the first token), each row normalized to sum to 1.

    Args:
        weights: [..., query, key]; keys: the key tokens.

    Returns:
        [..., query, key] with 0 in the sinks' columns, and the mean weight that was removed from a row. A row that
        has no other weight is 0.
    """
    sink = np.array(keys.special, bool)
    sink[0] = True
    remaining = np.where(sink, 0, weights)
    total = remaining.sum(-1, keepdims=True)
    removed = float((weights.sum(-1, keepdims=True) - total).mean())
    return np.divide(remaining, total, out=np.zeros_like(remaining), where=total > 0), removed
