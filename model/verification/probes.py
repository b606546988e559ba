"""The comparison of probes with independent runs: the logit lens, and the effects of silencing heads."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from torch import Tensor

from model.arrays.torch_to_numpy import to_numpy
from model.arrays.types import Array
from model.verification.comparison import Comparison, largest_magnitude, softmax

MAX_DEPTHS, MAX_HEADS = 3, 4  # that are repeated of a probe whose every part takes a run
EFFECT_FLOOR = 1e-3  # an effect below counts as nothing
HALF, SINGLE = 0.5, 0.02  # largest share by which an effect may differ in half precision, and in float32


def depths_to_repeat(count: int) -> list[int]:
    """Some depths of a logit lens with `count` rows: the first, the last and one between."""
    return sorted({0, count // 2, count - 1})[:MAX_DEPTHS]


def heads_to_repeat(effects: Mapping[str, Array]) -> list[tuple[str, int, int]]:
    """Of each kind the head with the largest effect, and one whose effect is in the middle."""
    found = []
    for kind, one in effects.items():
        order = np.argsort(one, axis=None)
        for place in dict.fromkeys((int(order[-1]), int(order[len(order) // 2]))):
            layer, head = divmod(place, one.shape[1])
            found.append((kind, layer, head))
    return found[: 2 * MAX_HEADS]


def add_lens(comparison: Comparison, found: tuple[Array, Array], depth: int, logits: Tensor) -> None:
    """Compare one row of a logit lens.

    Args:
        found: ids and probabilities, [layer + 1, token]; depth: the row.
        logits: of an independent run from that row's states, [token, vocab].
    """
    ids, chances = found
    limit, where = comparison.limits.weight(depth), str(depth)
    known = depth < len(ids) and ids.shape == chances.shape and ids.shape[1] == len(logits)
    if not known or ids[depth].min() < 0 or ids[depth].max() >= logits.shape[-1]:
        comparison.add("lens", 1.0, limit, where)
        return
    expected = softmax(to_numpy(logits))
    own = expected[np.arange(len(expected)), ids[depth]]
    error = np.maximum(np.abs(own - chances[depth]), expected.max(-1) - own)
    comparison.add("lens", float(error.max()), limit, where)


def add_guess(comparison: Comparison, found: Array, logits: Tensor) -> None:
    """Compare what a model answers where a token is masked.

    Args:
        found, logits: of the probe, and of an independent run with the same token masked. [vocab]
    """
    expected = to_numpy(logits)
    limit = comparison.logit_limit(largest_magnitude(logits))
    error = float(np.abs(found - expected).max()) if found.shape == expected.shape else np.inf
    comparison.add("guess", error, limit)


def add_effect(
    comparison: Comparison, place: tuple[str, int, int], found: float, before: Tensor, after: Tensor, *, in_bits: bool
) -> None:
    """Compare the effect of silencing one head, as a share of it.

    Args:
        found: the effect; before, after: what independent runs answer with and without the head, [token, ...].
        in_bits: True for a divergence of distributions, False for a turn of states.
    """
    one, other = (to_numpy(answer).astype(np.float64) for answer in (before, after))
    if in_bits:
        shares, others = softmax(one), softmax(other)
        tiny = np.finfo(np.float64).tiny
        expected = (shares * (np.log2(np.maximum(shares, tiny)) - np.log2(np.maximum(others, tiny)))).sum(-1).mean()
    else:
        lengths = np.linalg.norm(one, axis=-1) * np.linalg.norm(other, axis=-1)
        expected = (1 - (one * other).sum(-1) / np.maximum(lengths, np.finfo(np.float64).tiny)).mean()
    error = abs(float(found) - expected) / max(abs(expected), EFFECT_FLOOR)
    limit = HALF if comparison.limits.digits else SINGLE
    comparison.add("effects", error, limit, "{} {}.{}".format(*place))
