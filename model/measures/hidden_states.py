"""Measures of the residual stream: similarity, distance and principal components of hidden states (NumPy only)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from model.arrays.types import Array
from model.measures.alignment import AlignedPairs


def cosine_to_embedding(states: Array) -> Array:
    """Cosine similarity of each hidden state to its token's embedding (row 0). [layer, token, d] -> [layer, token]"""
    unit = states / np.linalg.norm(states, axis=-1, keepdims=True).clip(1e-12)
    return (unit * unit[0]).sum(axis=-1)


MASSIVE = 10.0  # times as long as the median token's: above it a hidden state counts as massive


class MassiveState(NamedTuple):
    """A token whose hidden state is far longer than the others' (Sun et al. 2024, "Massive Activations").

    Attributes:
        token: its position.
        depth: row of the hidden states where it is longest compared with the others.
        factor: its L2 norm there, over the median of all tokens' norms.
        dimension: of its largest value there.
        share: of that value in the squared norm.
    """

    token: int
    depth: int
    factor: float
    dimension: int
    share: float


def massive_states(states: Array) -> list[MassiveState]:
    """The tokens whose hidden state is more than `MASSIVE` times as long as the median token's at some depth.

    Fewer than half of the tokens at any depth, by the meaning of the median; none among fewer than three tokens.

    Args:
        states: [layer + 1, token, d_model]
    """
    if states.shape[1] < 3:
        return []
    norms = np.linalg.norm(states.astype(np.float64), axis=-1)
    factors = norms / np.median(norms, axis=1, keepdims=True).clip(1e-12)  # [layer + 1, token]
    found = []
    for token in np.flatnonzero(factors.max(axis=0) > MASSIVE).tolist():
        depth = int(factors[:, token].argmax())
        squared = states[depth, token].astype(np.float64) ** 2
        dimension = int(squared.argmax())
        share = float(squared[dimension] / squared.sum())
        found.append(MassiveState(token, depth, float(factors[depth, token]), dimension, share))
    return found


def state_coordinates(states: Array) -> tuple[Array, float]:
    """Coordinates of all hidden states along their first two principal components.

    Args:
        states: [layer, token, d_model]

    Returns:
        float64 [layer, token, 2], and the share of the variance that the two components explain.
    """
    flat = states.reshape(-1, states.shape[-1]).astype(np.float64)
    centred = flat - flat.mean(axis=0)
    if len(centred) > centred.shape[1]:  # the covariance of the dimensions is then the smaller matrix
        variance, directions = np.linalg.eigh(centred.T @ centred)
        variance, plane = variance[::-1].clip(0), directions.T[::-1][:2]
    else:
        _, singular, directions = np.linalg.svd(centred, full_matrices=False)
        variance, plane = singular**2, directions[:2]
    # The sign of a component is arbitrary; fixing it keeps the picture from flipping between runs.
    plane = plane * np.sign(plane[np.arange(len(plane)), np.abs(plane).argmax(axis=1)])[:, None]
    points = centred @ plane.T
    if points.shape[1] < 2:
        points = np.pad(points, ((0, 0), (0, 2 - points.shape[1])))
    return points.reshape(*states.shape[:2], 2), float(variance[:2].sum() / variance.sum().clip(1e-12))


def cosine_similarities(vectors: Array) -> Array:
    """Cosine similarity of every two rows. [row, d] -> [row, row]"""
    unit = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True).clip(1e-12)
    return unit @ unit.T


def state_distance(a: Array, b: Array, pairs: AlignedPairs) -> Array:
    """Cosine distance of aligned tokens' hidden states after each layer; NaN for a token without a partner.

    Args:
        a, b: hidden states of two runs of the same model. [layer, token, d_model]
        pairs: aligned positions in `a` and `b`.

    Returns:
        float64 [layer, aligned token]: 0 for the same direction, 1 for orthogonal states.
    """

    def unit(states: Array) -> Array:
        return states / np.linalg.norm(states.astype(np.float64), axis=-1, keepdims=True).clip(1e-12)

    left, right = unit(a), unit(b)
    distance = np.full((len(a), len(pairs)), np.nan)
    for column, (i, j) in enumerate(pairs):
        if i is not None and j is not None:
            distance[:, column] = 1 - (left[:, i] * right[:, j]).sum(-1)
    return distance
