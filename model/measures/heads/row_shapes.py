"""The shape of a head's rows, whatever the tokens: entropy, largest weight, distance (NumPy only)."""

from __future__ import annotations

import numpy as np

from model.arrays.types import Array
from model.maps.entropy import entropy_bits
from model.trace.attention import Attention

SHAPES = ("entropy", "confidence", "distance")


def row_shapes(attention: Attention, weights: Array) -> dict[str, Array]:
    """Means over the rows of tokens that are not special and have a choice, for each head of a layer.

    - "entropy": of the row, in bits.
    - "confidence": the largest weight on a key that is not special (Voita et al. 2019).
    - "distance": tokens between the query and what it looks at, on average; NaN in cross-attention.

    Args:
        weights: of one layer, NaN where the mask forbids. [head, query, key]

    Returns:
        name -> float64 [head]; NaN where no row counts.
    """
    asking = ~np.array(attention.queries.special, bool)
    rows = np.flatnonzero(asking & ((~np.isnan(weights[0])).sum(-1) >= 2))
    nothing = np.full(len(weights), np.nan)
    if not len(rows):
        return dict.fromkeys(SHAPES, nothing)
    chosen = np.nan_to_num(weights[:, rows].astype(np.float64))
    words = ~np.array(attention.keys.special, bool)
    away = np.abs(np.arange(weights.shape[2]) - rows[:, None])  # [row, key]
    return {
        "entropy": entropy_bits(chosen).mean(-1),
        "confidence": chosen[..., words].max(-1).mean(-1) if words.any() else nothing,
        "distance": nothing if attention.kind == "cross" else (chosen * away).sum(-1).mean(-1),
    }
