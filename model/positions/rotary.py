"""Rotary position encodings (Su et al. 2021, "RoFormer"; NumPy only)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from model.positions.scheme import Rotation


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
    return rotate_all(vector[None, None], np.array([turn]), frequencies, pairs)[0, 0]


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


def rotate_all(vectors: np.ndarray, turns: np.ndarray, frequencies: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Queries or keys rotated further by some numbers of positions. float64 [head, token, head_dim]

    Args:
        vectors: [head, token or 1, head_dim]
        turns: by how many positions further, for each token. [token]
        frequencies, pairs: as for `rotate`.
    """
    first, second = pairs.T
    angle = np.outer(turns, frequencies)
    rotated = np.repeat(vectors.astype(np.float64), len(turns) // vectors.shape[1], axis=1)
    a, b = rotated[..., first], rotated[..., second]
    rotated[..., first] = a * np.cos(angle) - b * np.sin(angle)
    rotated[..., second] = b * np.cos(angle) + a * np.sin(angle)
    return rotated


def possible_pairs(count: int, head_dim: int) -> list[np.ndarray]:
    """The ways in which models lay `count` pairs into the dimensions of a head. int64 [pair, 2] each

    Halves or neighbours, in the first dimensions of a head or, where some are not rotated, in the last.
    """
    if not 0 < 2 * count <= head_dim:
        return []
    pair = np.arange(count)
    halves, neighbours = np.stack([pair, pair + count], axis=1), np.stack([2 * pair, 2 * pair + 1], axis=1)
    starts = sorted({0, head_dim - 2 * count})
    # Some families rotate pairs of the whole head, and leave those at the end of each half as they are.
    spread = [np.stack([pair, pair + head_dim // 2], axis=1)] if 2 * count < head_dim else []
    return [one + start for start in starts for one in (halves, neighbours)] + spread


def find_rotation(
    before: np.ndarray, after: np.ndarray, turns: np.ndarray, candidates: Sequence[np.ndarray], tolerance: float
) -> Rotation | None:
    """The rotation that turns some queries or keys into others; one without frequencies where they are equal.

    Args:
        before, after: the same vectors at two places. [head, token or 1, head_dim], [head, token, head_dim]
        turns: positions from the one place to the other, for each token. [token]
        candidates: frequencies to try. [pair] each
        tolerance: by how much a value may be missed, as a share of the largest.

    Returns:
        None where no candidate turns the one into the other.
    """
    limit = tolerance * float(np.abs(after).max())
    if np.abs(after - before).max() < limit:
        return Rotation(np.empty(0), np.empty((0, 2), np.int64))
    for frequencies in candidates:
        for pairs in possible_pairs(len(frequencies), before.shape[-1]):
            for sense in (pairs, pairs[:, ::-1]):
                if np.abs(rotate_all(before, turns, frequencies, sense) - after).max() < limit:
                    turning = frequencies > 0
                    return Rotation(frequencies[turning], sense[turning])
    return None
