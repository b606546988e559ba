"""Means over sentences with bootstrap intervals, and made-up inputs, from a seed (NumPy only).

The unit that is drawn again is the sentence, never the token: tokens of one sentence depend on each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from model.arrays.types import Array

LEVEL = 0.95
BLOCK_CELLS = 4_000_000  # resampled means that are held at once
_FIRST_QUANTILES = {1: 12.706, 2: 4.303, 3: 3.182}  # of Student's t at 97.5 %, where the expansion below is too rough


@dataclass(frozen=True)
class Estimate:
    """A mean over sentences with its 95 % interval.

    Attributes:
        value: the mean; low, high: ends of the interval, NaN for fewer than two sentences.
        count: number of sentences.
    """

    value: float
    low: float
    high: float
    count: int

    def __str__(self) -> str:
        if math.isnan(self.low):
            return f"{self.value:.2f}"
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


def draws(sentences: int, resamples: int, seed: int) -> Array:
    """How often each sentence is in each resample: as many as there are, with replacement. float32 [resample, sentence]

    The same numbers for the same seed.
    """
    rng = np.random.default_rng(seed)
    even = np.full(max(sentences, 1), 1 / max(sentences, 1))
    return rng.multinomial(sentences, even[:sentences] if sentences else even, size=resamples).astype(np.float32)


def intervals(values: Array, resamples: int, seed: int) -> tuple[Array, Array, Array, Array]:
    """Means over sentences, and the ends of their intervals.

    Args:
        values: NaN where a sentence cannot show what is measured. [sentence, ...]

    Returns:
        Mean, low, high as float32 and the number of sentences that count, [...] each; low and high are NaN where fewer
        than two sentences count.
    """
    flat = values.reshape(len(values), -1)
    shown = ~np.isnan(flat)
    counts, means = shown.sum(0), mean_shown(flat, 0)
    low, high = np.full(flat.shape[1], np.nan), np.full(flat.shape[1], np.nan)
    drawn = draws(len(values), resamples, seed)
    for start in range(0, flat.shape[1], max(BLOCK_CELLS // resamples, 1)):
        block = slice(start, start + max(BLOCK_CELLS // resamples, 1))
        again = resampled_means(flat[:, block], drawn)
        for count in np.unique(counts[block][counts[block] >= 2]):
            cells = np.flatnonzero(counts[block] == count)
            low[start + cells], high[start + cells] = ends(again[:, cells], int(count))
    shape = values.shape[1:]
    first, second, third = (one.astype(np.float32).reshape(shape) for one in (means, low, high))
    return first, second, third, counts.reshape(shape)


def mean_shown(values: Array, axis: int | tuple[int, ...]) -> Array:
    """Mean of the values that are there along some axes; NaN where none is."""
    shown = ~np.isnan(values)
    counts = shown.sum(axis)
    totals = np.where(shown, values, 0).sum(axis, dtype=np.float64)
    return np.where(counts > 0, totals / np.maximum(counts, 1), np.nan)


def resampled_means(values: Array, drawn: Array) -> Array:
    """Mean of every resample; NaN where it holds no sentence that counts. [sentence, cell] -> [resample, cell]"""
    shown = ~np.isnan(values)
    totals = drawn @ np.where(shown, values, 0).astype(np.float32)
    weights = drawn @ shown.astype(np.float32)
    return np.divide(totals, weights, out=np.full_like(totals, np.nan), where=weights > 0)


def ends(resampled: Array, count: int) -> tuple[Array, Array]:
    """The ends of the interval: percentiles of resampled values, further out where there are few sentences.

    Percentiles alone are too narrow for few sentences, by √((n - 1) / n) and by the difference of Student's t from the
    normal distribution; the levels are those of the expanded percentile interval (Hesterberg 2015).

    Args:
        resampled: [resample, ...]; count: number of sentences, at least 2.
    """
    level = NormalDist().cdf(-math.sqrt(count / (count - 1)) * _student_quantile(count - 1))
    low, high = np.nanquantile(resampled, [level, 1 - level], axis=0)
    return low, high


def estimate(
    values: Array, statistic: Callable[[Array], Array], resamples: int, seed: int, shown: Array | None = None
) -> Estimate:
    """A number computed from means over sentences, with its interval.

    Args:
        values: [sentence, cell]; statistic: of means [..., cell], returns [...].
        shown: cells that must be there for a sentence to count; None for any. bool [cell]
    """
    valid = ~np.isnan(values if shown is None else values[:, shown])
    kept = values[valid.any(-1)]
    if not len(kept):
        return Estimate(math.nan, math.nan, math.nan, 0)
    value = float(statistic(resampled_means(kept, np.ones((1, len(kept)), np.float32)))[0])
    if len(kept) < 2 or math.isnan(value):
        return Estimate(value, math.nan, math.nan, len(kept))
    low, high = ends(statistic(resampled_means(kept, draws(len(kept), resamples, seed))), len(kept))
    return Estimate(value, float(low), float(high), len(kept))


def repeated_ids(first: int, stop: int, length: int, rows: int, seed: int) -> tuple[tuple[int, ...], ...]:
    """Rows of ids drawn evenly from a vocabulary, each row a sequence that stands there twice (Olsson et al. 2022).

    Args:
        first, stop: of the ids to draw from; length: of the sequence.
    """
    drawn = np.random.default_rng(seed).integers(first, stop, (rows, length))
    return tuple((*row, *row) for row in drawn.tolist())


def _student_quantile(freedom: int) -> float:
    """97.5 % quantile of Student's t, by the Cornish-Fisher expansion (Abramowitz and Stegun 26.7.5)."""
    if freedom in _FIRST_QUANTILES:
        return _FIRST_QUANTILES[freedom]
    z, n = NormalDist().inv_cdf((1 + LEVEL) / 2), freedom
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / n + second / n**2 + third / n**3
