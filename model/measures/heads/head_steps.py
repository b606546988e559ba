"""The attention formula of one query of one head, step by step (NumPy only)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from model.arrays.types import Array
from model.trace.attention import Attention


@dataclass(frozen=True, eq=False)
class HeadSteps:
    """Intermediate results of the attention formula for one query of one head.

    Attributes:
        query: [head_dim]; keys, values: [key, head_dim]. The numbers of the traced pass.
        products: query times key, dimension by dimension; their sums are the dots. [key, head_dim]
        dots: q·k; bias: position bias that some families add; scaled: dots · scale + bias, the first capped where
            the family caps scores. [key]
        scale: usually 1 / √head_dim; allowed: the query's row of the mask. bool [key]
        scores: scaled, -inf where masked; weights: after the softmax. [key]
        weighted: each value times its weight [key, head_dim]; output: their sum [head_dim].
        error: largest difference between `scaled` and the scores of the traced pass.
        dot_error: largest difference between a running sum's end and the traced pass's score without scale and bias.
        output_error: largest difference between `output` and the whole formula worked out again in float64.
        softcap: c, where scaled scores become c · tanh(score / c) before the bias (Gemma 2); None without.
        sink: score of a sink that takes its share of each row and is no key (gpt-oss); None without.
    """

    query: Array
    keys: Array
    values: Array
    products: Array
    dots: Array
    scale: float
    bias: Array
    scaled: Array
    allowed: Array
    scores: Array
    weights: Array
    weighted: Array
    output: Array
    error: float
    dot_error: float
    output_error: float
    softcap: float | None = None
    sink: float | None = None

    @property
    def divisor(self) -> float:
        """What q·k is divided by: 1 / scale, usually √head_dim; 1 in a family that does not divide (T5)."""
        return 1 / self.scale

    @property
    def divides_by_root(self) -> bool:
        """Whether the divisor is √head_dim, as in Vaswani et al. 2017."""
        return bool(abs(self.scale * len(self.query) ** 0.5 - 1) < 1e-5)

    @property
    def has_bias(self) -> bool:
        """Whether the family adds a bias to the scaled scores (T5, ALiBi)."""
        return bool(self.bias.any())

    @property
    def follows_scores(self) -> bool:
        """False where an edit forced the weights, which then are not the softmax of the scores."""
        return bool(np.abs(self.weights_at(self.divisor) - self.weights).max(initial=0) < 1e-3)

    def running_sums(self, key: int) -> Array:
        """Sums of the first products of one key, added up one dimension after the other. float64 [head_dim]"""
        return np.cumsum(self.products[key], dtype=np.float64)

    def exponentials(self) -> Array:
        """e to the power of each score minus the largest score, 0 where masked. float64 [key]

        The largest score is subtracted as in the softmax itself: e^90 overflows float32.
        """
        return _exponentials(self.scores)[0]

    def weights_at(self, divisor: float) -> Array:
        """Weights that the same q, k, bias and mask give with another divisor. float64 [key]"""
        capped = _capped(self.dots.astype(np.float64) / divisor, self.softcap)
        scores = np.where(self.allowed, capped + self.bias, -np.inf)
        exponentials, top = _exponentials(scores)
        rest = 0.0 if self.sink is None else np.exp(np.float64(self.sink) - top)
        return exponentials / (exponentials.sum() + rest or 1.0)

    def strongest_keys(self, count: int, always: int) -> list[int]:
        """Positions of the keys of the largest weights, at most `count`, in rising order.

        Args:
            always: a key that is among them whatever its weight.
        """
        order = [always, *(int(i) for i in np.argsort(-self.weights, kind="stable") if i != always)]
        return sorted(order[:count])


def _exponentials(scores: Array) -> tuple[Array, float]:
    """e to the power of each score minus the largest, and the largest; 0 where all are masked."""
    top = float(scores.max(initial=-np.inf))
    top = top if np.isfinite(top) else 0.0
    return np.exp(scores.astype(np.float64) - top), top


def _capped(scores: Array, cap: float | None) -> Array:
    return scores if cap is None else cap * np.tanh(scores / cap)


def head_steps(attention: Attention, layer: int, head: int, query: int) -> HeadSteps:
    """Every step of the formula for one query, recomputed from the traced q, k and v.

    Raises:
        ValueError: the model's family records weights only, without q, k and v.
    """
    row = attention.select(layer, range(head, head + 1), [query])
    q, k, v = row.array("query")[0, 0], row.array("key")[0], row.array("value")[0]
    products = q * k
    dots = products.sum(axis=-1)
    bias = row.array("bias")[0, 0]
    cap, sink = row.softcap, float(row.array("sinks")[0])
    scaled = _capped(dots * row.scale, cap) + bias
    weights = row.weights()[0, 0]
    weighted = weights[:, None] * v
    output = weighted.sum(axis=0)
    unmasked = row.scores(masked=False)[0, 0]
    ends = products.astype(np.float64).cumsum(axis=-1)[:, -1]
    # A cap cannot be undone where it has flattened a score.
    unscaled = k.astype(np.float64) @ q if cap is not None else (unmasked.astype(np.float64) - bias) / row.scale
    steps = HeadSteps(
        query=q,
        keys=k,
        values=v,
        products=products,
        dots=dots,
        scale=row.scale,
        bias=bias,
        scaled=scaled,
        allowed=row.array("allowed")[0],
        scores=row.scores()[0, 0],
        weights=weights,
        weighted=weighted,
        output=output,
        error=float(np.abs(scaled - unmasked).max()),
        dot_error=float(np.abs(ends - unscaled).max()),
        output_error=0.0,
        softcap=cap,
        sink=sink if np.isfinite(sink) else None,
    )
    exact = steps.weights_at(steps.divisor) if steps.follows_scores else weights.astype(np.float64)
    return replace(steps, output_error=float(np.abs(exact @ v.astype(np.float64) - output).max()))
