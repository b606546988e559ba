"""Matrices with more cells than a page sends, max-pooled to fewer; labels of the groups."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from model.maps.pooling import group_starts, reduce_groups
from viz.figures.theme import shorten

MAX_CELLS = 96 * 96  # a page sends no more, and a screen shows no more apart


def pooled_shape(shape: tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns that are drawn of a matrix of this shape: all of them, or so many that `MAX_CELLS` holds."""
    rows, columns = shape
    side = math.isqrt(MAX_CELLS)
    fewer = min(rows, max(side, MAX_CELLS // max(columns, 1)))
    return fewer, min(columns, max(side, MAX_CELLS // max(fewer, 1)))


def pooling_starts(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """First row of each group of rows, and first column of each group of columns, that are drawn as one."""
    rows, columns = (group_starts(length, count) for length, count in zip(shape, pooled_shape(shape), strict=True))
    return rows, columns


def max_pooled(array: np.ndarray, *, signed: bool = False) -> np.ndarray:
    """Maximum of each group of neighbouring cells; NaN only where a whole group is NaN.

    Args:
        array: [row, column]
        signed: takes the value of the largest magnitude instead of the largest value.

    Returns:
        Of the shape that `pooled_shape` gives. [fewer rows, fewer columns]
    """
    down, across = pooling_starts(array.shape)
    high = reduce_groups(reduce_groups(array, down, 0), across, 1)
    if signed:
        low = reduce_groups(reduce_groups(array, down, 0, np.fmin), across, 1, np.fmin)
        high = np.where(-low > high, low, high)
    return high


def group_labels(
    labels: Sequence[str], names: Sequence[str], starts: np.ndarray
) -> tuple[Sequence[str], Sequence[str]]:
    """Label and hover name of each group of neighbours: its first label, and its first and last name.

    starts: first index of each group.
    """
    if len(starts) == len(labels):
        return labels, names
    ends = [*starts[1:], len(labels)]
    full = [
        names[start] if end - start == 1 else f"{shorten(names[start])} … {shorten(names[end - 1])}"
        for start, end in zip(starts, ends, strict=True)
    ]
    return [labels[start] for start in starts], full
