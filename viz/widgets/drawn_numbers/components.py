"""Points along principal components, read back: that they are the components, without computing these again."""

from __future__ import annotations

import numpy as np

from viz.figures.reading_back import WRONG

ROUNDS = 30  # of the power iteration that looks for a direction with more variance


def components_error(points: np.ndarray, rows: np.ndarray) -> float:
    """By how much points are not the coordinates of rows along their first two principal components, as a share.

    Whatever the signs of the components, and where two have the same variance.

    Args:
        points: [row, 2]; rows: [row, dimension]
    """
    centred = rows - rows.mean(axis=0)
    variance = (points**2).sum(axis=0)
    total = float((centred**2).sum()) or 1.0
    used = variance > 1e-12 * total
    if not np.isfinite(points).all() or variance[0] < variance[1] * (1 - 1e-6):
        return WRONG
    shown = points[:, used]
    directions = centred.T @ shown / variance[used]  # of an eigenvector this is the vector itself
    size = np.sqrt(total / len(rows))
    error = float(np.abs(centred @ directions - shown).max(initial=0.0)) / size
    error = max(error, float(np.abs(directions.T @ directions - np.eye(used.sum())).max(initial=0.0)))
    return max(error, _left_out(centred - shown @ directions.T, float(variance[1]), total))


def _left_out(rest: np.ndarray, least: float, total: float) -> float:
    """Share of the variance by which a direction that is left out has more than the second component."""
    direction = rest[np.argmax((rest**2).sum(axis=1))]
    found = 0.0
    for _ in range(ROUNDS):
        length = float(np.linalg.norm(direction))
        if length < 1e-150:
            break
        image = rest @ (direction / length)
        found = float((image**2).sum())
        direction = rest.T @ image
    return max(found - least, 0.0) / total
