"""What can be read off a trace: what it tends to do, how tokens move (NumPy only)."""

from __future__ import annotations

import numpy as np

from model.arrays.types import Array
from model.measures.alignment import Pairs


def cosine_to_first(states: Array) -> Array:
    """Cosine similarity of each token's state with its own embedding (row 0). [layer, token, d] -> [layer, token]"""
    unit = states / np.linalg.norm(states, axis=-1, keepdims=True).clip(1e-12)
    return (unit * unit[0]).sum(axis=-1)


def paths(states: Array) -> tuple[Array, float]:
    """Each token's way through the layers in the plane that keeps most of the variance (principal components).

    Args:
        states: [layer, token, d_model]

    Returns:
        points [layer, token, 2], and the share of the variance that the plane keeps.
    """
    flat = states.reshape(-1, states.shape[-1]).astype(np.float64)
    centred = flat - flat.mean(axis=0)
    if len(centred) > centred.shape[1]:  # then the dimensions' covariance is the smaller problem, by far
        power, directions = np.linalg.eigh(centred.T @ centred)
        power, plane = power[::-1].clip(0), directions.T[::-1][:2]
    else:
        _, singular, directions = np.linalg.svd(centred, full_matrices=False)
        power, plane = singular**2, directions[:2]
    # The sign of a component is arbitrary; fix it, so that the picture does not flip between runs.
    plane = plane * np.sign(plane[np.arange(len(plane)), np.abs(plane).argmax(axis=1)])[:, None]
    points = centred @ plane.T
    if points.shape[1] < 2:
        points = np.pad(points, ((0, 0), (0, 2 - points.shape[1])))
    return points.reshape(*states.shape[:2], 2), float(power[:2].sum() / power.sum().clip(1e-12))


def cosine_similarities(vectors: Array) -> Array:
    """Cosine of the angle between every two rows. [row, d] -> [row, row]"""
    unit = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True).clip(1e-12)
    return unit @ unit.T


def state_distance(a: Array, b: Array, pairs: Pairs) -> Array:
    """Cosine distance of aligned tokens' states after each layer; NaN without a partner.

    Args:
        a, b: [layer, token, d_model], of two runs of the same model.

    Returns:
        [layer, aligned token]: 0 for the same direction, 1 at right angles.
    """

    def unit(states: Array) -> Array:
        return states / np.linalg.norm(states.astype(np.float64), axis=-1, keepdims=True).clip(1e-12)

    left, right = unit(a), unit(b)
    distance = np.full((len(a), len(pairs)), np.nan)
    for place, (i, j) in enumerate(pairs):
        if i is not None and j is not None:
            distance[:, place] = 1 - (left[:, i] * right[:, j]).sum(-1)
    return distance
