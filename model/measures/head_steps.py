"""The attention formula of one query of one head, step by step (NumPy only)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from model.arrays.types import Array
from model.trace.attention import Attention


@dataclass(frozen=True, eq=False)
class HeadSteps:
    """Intermediate results of the attention formula for one query of one head.

    Attributes:
        query: [head_dim]; keys, values: [key, head_dim]. The numbers of the traced pass.
        products: query times key, dimension by dimension; their sums are the dots. [key, head_dim]
        dots: q·k; bias: position bias that some families add; scaled: dots · scale + bias. [key]
        scale: usually 1 / √head_dim; allowed: the query's row of the mask. bool [key]
        scores: scaled, -inf where masked; weights: after the softmax. [key]
        weighted: each value times its weight [key, head_dim]; output: their sum [head_dim].
        error: largest difference between `scaled` and the scores of the traced pass.
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
    scaled = dots * row.scale + bias
    weights = row.weights()[0, 0]
    weighted = weights[:, None] * v
    return HeadSteps(
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
        output=weighted.sum(axis=0),
        error=float(np.abs(scaled - row.scores(masked=False)[0, 0]).max()),
    )
