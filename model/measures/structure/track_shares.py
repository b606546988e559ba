"""How much of the attention of what moves stays on it, against even attention (NumPy only)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from model.arrays.types import Array
from model.trace.attention import Attention


@dataclass(frozen=True, eq=False)
class TrackShares:
    """Shares of attention on a track, from 0 to 1.

    Attributes:
        shares: float32 [layer, head]
        chance: the share that even attention would have; NaN where no patch can look both on and off a track.
        queries: number of patches that are counted.
    """

    shares: Array
    chance: float
    queries: int


def track_shares(attention: Attention, covered: Array) -> TrackShares:
    """Of what patches on a track look at beside themselves, the share that is on the same track.

    Mean over the patches that a thing covers and that may look both at it and elsewhere. Over time these are places
    that it covers in some frames and not in all; over space, and where time and space are one, all that it covers.

    Args:
        covered: which tokens each thing covers. bool [track, token]
    """
    layers, heads = attention.num_layers, attention.num_heads
    others = attention.mask(0) & ~np.eye(len(attention.queries), dtype=bool)
    rows, wanted = [], []
    for track in covered:
        own = others & track
        asking = track & own.any(1) & (own.sum(1) < others.sum(1))
        rows += np.flatnonzero(asking).tolist()
        wanted.append(own[asking])
    if not rows:
        return TrackShares(np.full((layers, heads), np.nan, np.float32), float("nan"), 0)
    right, allowed = np.concatenate(wanted), others[rows]
    shares = np.empty((layers, heads), np.float32)
    for layer in range(layers):
        weights = np.nan_to_num(attention.select(layer, range(heads), rows).weights())
        shares[layer] = ((weights * right).sum(-1) / (weights * allowed).sum(-1).clip(1e-12)).mean(-1)
    return TrackShares(shares, float((right.sum(1) / allowed.sum(1)).mean()), len(rows))
