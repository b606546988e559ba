"""Rotary position encodings (Su et al. 2021, "RoFormer"; NumPy only)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class PairMatches(NamedTuple):
    """The dot product of a query and a key by the distance between them, pair by pair.

    Attributes:
        parts: what each rotated pair adds, a sinusoid of the distance. float64 [pair, distance]
        rest: what the dimensions that are not rotated add.
    """

    parts: np.ndarray
    rest: float

    @property
    def total(self) -> np.ndarray:
        """The dot product. float64 [distance]"""
        return self.parts.sum(axis=0) + self.rest


def rotate(vector: np.ndarray, turn: float, frequencies: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """A query or key rotated as if it stood `turn` positions further on. float64 [head_dim]

    Args:
        vector: [head_dim]
        frequencies: of each pair, in radians per position. [pair]
        pairs: the two dimensions of each pair. [pair, 2]
    """
    first, second = pairs.T
    cosine, sine = np.cos(turn * frequencies), np.sin(turn * frequencies)
    rotated = vector.astype(np.float64)
    rotated[first] = vector[first] * cosine - vector[second] * sine
    rotated[second] = vector[second] * cosine + vector[first] * sine
    return rotated


def match_by_distance(
    query: np.ndarray, key: np.ndarray, turns: np.ndarray, frequencies: np.ndarray, pairs: np.ndarray
) -> PairMatches:
    """Dot products of a query with a key, the query rotated further by some numbers of positions.

    Args:
        query, key: as the model multiplies them, rotated by their own positions. [head_dim]
        turns: by how many positions more the query is rotated; 0 gives the model's own product. [distance]
        frequencies, pairs: as for `rotate`.
    """
    query, key = query.astype(np.float64), key.astype(np.float64)
    (first, second), angle = pairs.T, np.outer(frequencies, turns)
    along = query[first] * key[first] + query[second] * key[second]
    across = query[first] * key[second] - query[second] * key[first]
    parts = along[:, None] * np.cos(angle) + across[:, None] * np.sin(angle)
    rest = np.delete(query * key, pairs.ravel()).sum()
    return PairMatches(parts, float(rest))
