"""What bars, curves and tinted pictures show, read back from data and axes, against what they should show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from viz.figures.reading_back import WRONG, falls, has_labels

Curve = tuple[np.ndarray, np.ndarray]  # x and y


def bars_error(
    figure: go.Figure,
    expected: Sequence[np.ndarray],
    names: Sequence[str] = (),
    *,
    lying: bool = False,
    places: Sequence[Sequence[int]] | None = None,
    longest: int = 14,
    least: float = 0.0,
) -> float:
    """Largest difference between the lengths of bars and other numbers, as a share of the largest of them.

    Args:
        expected: of each series, NaN where there is no bar. [bar] each
        names: labels of the bars; none where they are not to be compared.
        lying: whether the first bar is on top and they grow to the right; else they stand, the first on the left.
        places: where the bars of each series are; 0, 1, 2 … by default.
        longest: letters of a label.
        least: what the largest counts as at least, where all may be nothing but rounding.
    """
    series = [one for one in figure.data if one.type == "bar"]
    if len(series) != len(expected):
        return WRONG
    along, across = (figure.layout.yaxis, figure.layout.xaxis) if lying else (figure.layout.xaxis, figure.layout.yaxis)
    if along.range is not None and falls(along.range) != lying:
        return WRONG
    if across.range is not None and falls(across.range):
        return WRONG
    if names and not has_labels(along, names, np.arange(len(names)), longest):
        return WRONG
    error, largest = 0.0, max([least, *(float(np.nanmax(np.abs(one), initial=0.0)) for one in expected)])
    for number, (one, wanted) in enumerate(zip(series, expected, strict=True)):
        at, values = (one.y, one.x) if lying else (one.x, one.y)
        there = range(len(wanted)) if places is None else places[number]
        if not np.array_equal(np.asarray(at), np.asarray(there)):
            return WRONG
        error = max(error, _difference(values, wanted))
    return error / (largest or 1.0)


def best_bars_error(
    figure: go.Figure, expected: Mapping[str, float], here: str, lines: Sequence[float] = (), count: int = 16
) -> float:
    """Largest difference between bars of the largest numbers, best first, and the numbers, as a share of the largest.

    Args:
        expected: name -> number; here: a name that has a bar however small its number is, then the last one.
        lines: the number of each level line; count: of bars, where there are as many numbers.
    """
    bars, axis = [one for one in figure.data if one.type == "bar"], figure.layout.xaxis
    names = [str(name) for name in axis.ticktext or ()]
    if len(bars) != 1 or here not in names or len(names) != min(count, len(expected)):
        return WRONG
    values = np.asarray(bars[0].y, np.float64)
    if len(values) != len(names) or not {*names} <= {*expected}:
        return WRONG
    best = sorted(expected.values(), reverse=True)[: len(names)]
    wanted = np.array(
        [expected[here] if name == here and i == len(names) - 1 else best[i] for i, name in enumerate(names)]
    )
    named = np.array([expected[name] for name in names])
    error = bars_error(figure, [named], names)
    levels = [np.asarray(one.y, np.float64) for one in figure.data if one.type == "scatter"]
    if len(levels) != len(lines):
        return WRONG
    largest = max([float(np.abs(wanted).max(initial=0.0)), *map(abs, lines)]) or 1.0
    apart = [float(np.abs(level - line).max(initial=0.0)) for level, line in zip(levels, lines, strict=True)]
    return max(error, float(np.abs(named - wanted).max(initial=0.0)) / largest, max(apart, default=0.0) / largest)


def triangles_error(figure: go.Figure, above: np.ndarray, below: np.ndarray | None, names: Sequence[str]) -> float:
    """Largest difference of the numbers above the diagonal, as a share of the largest; infinite for marks that differ.

    Args:
        above: numbers, of which those below zero are drawn as zero. [row, column]
        below: what is marked below the diagonal; None where nothing is. bool [row, column]
        names: labels along both axes, "" where there is none.
    """
    maps, layout = [np.asarray(one.z, np.float64) for one in figure.data if one.type == "heatmap"], figure.layout
    if len(maps) != (1 if below is None else 2) or not falls(layout.yaxis.range) or falls(layout.xaxis.range):
        return WRONG
    ticks = [(i, name) for i, name in enumerate(names) if name]
    for axis in (layout.xaxis, layout.yaxis):
        if [*zip(axis.tickvals, axis.ticktext, strict=False)] != ticks:
            return WRONG
    if below is not None and not np.array_equal(np.isfinite(maps[1]), np.tril(below, -1)):
        return WRONG
    upper = np.triu(np.ones(above.shape, bool), 1)
    if not np.array_equal(np.isfinite(maps[0]), upper):
        return WRONG
    wanted = np.maximum(above, 0)[upper]
    return float(np.abs(maps[0][upper] - wanted).max(initial=0.0)) / (float(wanted.max(initial=0.0)) or 1.0)


def curves_error(figure: go.Figure, expected: Sequence[Curve], names: Sequence[str] = ()) -> float:
    """Largest difference between curves and other ones, as a share of the largest number of each axis.

    Args:
        expected: of each trace of the figure, in its order; NaN where there is a gap.
        names: labels at 0, 1, 2 … across; none where they are not to be compared.
    """
    layout = figure.layout
    if len(figure.data) != len(expected):
        return WRONG
    if names and not has_labels(layout.xaxis, names, np.arange(len(names))):
        return WRONG
    if any(axis.range is not None and falls(axis.range) for axis in (layout.xaxis, layout.yaxis)):
        return WRONG
    largest = [
        max((float(np.nanmax(np.abs(one[side]), initial=0.0)) for one in expected), default=0.0) or 1.0
        for side in (0, 1)
    ]
    return max(
        (
            _difference(found, wanted) / size
            for trace, one in zip(figure.data, expected, strict=True)
            for found, wanted, size in zip((trace.x, trace.y), one, largest, strict=True)
        ),
        default=0.0,
    )


def points_error(figure: go.Figure, expected: Sequence[np.ndarray]) -> float:
    """Largest difference of the points of each series, as a share of the largest number of each axis.

    Args:
        expected: of each trace of the figure, in its order. [point, 2] each
    """
    flat = [np.asarray(one, np.float64).reshape(-1, 2) for one in expected]
    return curves_error(figure, [(one[:, 0], one[:, 1]) for one in flat])


def picture_error(figure: go.Figure, expected: np.ndarray) -> float:
    """Largest difference of the weights over the patches of a picture, as a share of the largest.

    Args:
        expected: of the patches. [patch row, patch column]
    """
    layout = figure.layout
    if not falls(layout.yaxis.range) or falls(layout.xaxis.range):
        return WRONG
    return _difference(figure.data[0].z, expected) / (float(np.abs(expected).max(initial=0.0)) or 1.0)


def words_error(figure: go.Figure, expected: np.ndarray, words: Sequence[Sequence[str]], names: Sequence[str]) -> float:
    """Largest difference of the cells of a map whose first row is at the bottom, each with a word, and of the words.

    Args:
        expected: [row, column]; words: of each cell, as they are written; names: of the columns.
    """
    cells, layout = figure.data[0], figure.layout
    upright = all(axis.range is None or not falls(axis.range) for axis in (layout.xaxis, layout.yaxis))
    written = [list(row) for row in cells.customdata] == [list(row) for row in words]
    if not upright or not written or not has_labels(layout.xaxis, names, np.arange(len(names))):
        return WRONG
    return _difference(cells.z, expected) / (float(np.abs(expected).max(initial=0.0)) or 1.0)


def _difference(found: Any, expected: np.ndarray) -> float:
    """Largest difference of two lists of numbers with the same gaps; infinite where they are not."""
    numbers = np.array(found, dtype=np.float64)  # None is NaN
    wanted = np.asarray(expected, dtype=np.float64)
    if numbers.shape != wanted.shape or (np.isnan(numbers) != np.isnan(wanted)).any():
        return WRONG
    return float(np.nanmax(np.abs(numbers - wanted), initial=0.0))
