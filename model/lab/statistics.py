"""Numbers that findings are about, from the mean of every head, also of many resamples at once (NumPy only)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from model.arrays.types import Array
from model.lab.finding_table import FindingSpec
from model.lab.resampling import mean_shown

Statistic = Callable[[Array], Array]  # of means [..., layer, head], returns [...]


def head_statistic(layer: int, head: int) -> Statistic:
    """The mean of one head."""
    return lambda means: means[..., layer, head]


def mean_of_heads(spec: FindingSpec) -> Statistic:
    """The mean of all heads of some layers."""
    return lambda means: mean_shown(means[..., spec.chosen_layers(means.shape[-2]), :], (-2, -1))


def share_of_heads(spec: FindingSpec) -> Statistic:
    """The share of the heads of some layers that are above, or below, a mark."""

    def share(means: Array) -> Array:
        chosen = means[..., spec.chosen_layers(means.shape[-2]), :]
        counted = chosen > spec.above if spec.above is not None else chosen < (spec.below or 0.0)
        return counted.mean((-2, -1))

    return share


def first_layer_over_rest(spec: FindingSpec) -> Statistic:
    """By how much the mean of the first layer's heads is above that of all others."""
    return lambda means: mean_shown(means[..., 0, :], -1) - mean_shown(means[..., 1:, :], (-2, -1))


STATISTICS: dict[str, Callable[[FindingSpec], Statistic]] = {
    "mean": mean_of_heads,
    "share_of_heads": share_of_heads,
    "first_layer_over_rest": first_layer_over_rest,
}


def best_head(means: Array, spec: FindingSpec) -> tuple[int, int] | None:
    """Layer and head with the largest mean in some layers; None where no head has one. means: [layer, head]"""
    masked = np.full(means.shape, -np.inf)
    chosen = list(spec.chosen_layers(len(means)))
    masked[chosen] = np.where(np.isnan(means[chosen]), -np.inf, means[chosen])
    if not np.isfinite(masked).any():
        return None
    layer, head = np.unravel_index(int(masked.argmax()), masked.shape)
    return int(layer), int(head)


def rank_correlation(one: Array, other: Array) -> Array:
    """Spearman's rank correlation along the last axis; equal values share no rank. [..., head] -> [...]"""
    ranks = [np.argsort(np.argsort(values, -1), -1).astype(np.float64) for values in (one, other)]
    centred = [rank - rank.mean(-1, keepdims=True) for rank in ranks]
    spread = np.sqrt((centred[0] ** 2).sum(-1) * (centred[1] ** 2).sum(-1))
    return (centred[0] * centred[1]).sum(-1) / np.maximum(spread, 1e-12)
