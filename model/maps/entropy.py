"""Shannon entropy of attention rows (NumPy only)."""

from __future__ import annotations

import numpy as np

from model.arrays.types import Array


def entropy_bits(weights: Array) -> Array:
    """Shannon entropy of each row of weights, in bits: 0 where one key takes all, log2(keys) where all are equal.

    Args:
        weights: rows that sum to 1. [..., key]

    Returns:
        [...]
    """
    # NumPy's natural logarithm is several times faster than its others; 0 · log 0 counts as 0.
    logs = np.log(np.maximum(weights, np.finfo(np.float32).tiny))
    return np.asarray(np.einsum("...k,...k->...", weights, logs) * weights.dtype.type(-1 / np.log(2)))
