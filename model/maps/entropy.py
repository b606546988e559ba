"""What is drawn of a layer's maps: of large ones nothing else leaves the place where they are computed (NumPy only)."""

from __future__ import annotations

import numpy as np

from model.arrays.types import Array


def entropy_bits(weights: Array) -> Array:
    """Entropy of each row of weights: 0 where one key takes all, log2(keys) where all are equal. [..., key] -> [...]"""
    # NumPy's natural logarithm is several times faster than its others; 0 · log 0 counts as 0.
    logs = np.log(np.maximum(weights, np.finfo(np.float32).tiny))
    return np.asarray(np.einsum("...k,...k->...", weights, logs) * weights.dtype.type(-1 / np.log(2)))
