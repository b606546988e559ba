"""What can be read off a trace: what it tends to do, how tokens move (NumPy only)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from model.trace import Array, Attention, Tokens


def shown(tokens: Tokens, specials: bool) -> list[int]:
    """Positions of all tokens, or of those that somebody typed."""
    return [i for i, special in enumerate(tokens.special) if specials or not special]


def special_mass(attention: Attention, layer: int, head: int) -> float:
    """Share of a head's attention that goes to special tokens, mean over the queries that somebody typed."""
    rows = shown(attention.queries, specials=False)
    columns = [i for i, special in enumerate(attention.keys.special) if special]
    if not rows:
        return 0.0
    return float(np.nansum(attention.drawn(layer, head, rows, columns)) / len(rows))


ROLES = ("previous", "same", "next")


def role_scores(attention: Attention, layer: int) -> dict[str, Array]:
    """How much of each head's attention goes to the previous, the same and the next token (self-attention).

    Mean weight over the queries that have such a neighbour; special tokens do not ask and padding is not asked.

    Returns:
        role -> float64 [head]; NaN where no query has such a neighbour.
    """
    weights = attention.weights(layer).astype(np.float64)
    asking = np.array(shown(attention.queries, specials=False))
    scores = {}
    for role, offset in zip(ROLES, (-1, 0, 1), strict=True):
        q = asking[(asking + offset >= 0) & (asking + offset < len(attention.keys))]
        scores[role] = weights[:, q, q + offset].mean(axis=-1) if len(q) else np.full(attention.num_heads, np.nan)
    return scores


def induction_scores(attention: Attention, layer: int) -> Array:
    """How much of each head's attention goes to the token that followed the same token last time (Olsson et al. 2022).

    Mean over the queries whose token has stood there before.

    Returns:
        float64 [head]; NaN where no token repeats.
    """
    tokens = attention.query_tokens
    last: dict[str, int] = {}
    places = []
    for place, token in enumerate(tokens):
        if token in last and last[token] + 1 < place:
            places.append((place, last[token] + 1))
        last[token] = place
    if not places:
        return np.full(attention.num_heads, np.nan)
    asking, asked = np.array(places).T
    return attention.weights(layer).astype(np.float64)[:, asking, asked].mean(axis=-1)


@dataclass(frozen=True, eq=False)
class HeadSteps:
    """The formula for one query of one head, step by step, with the run's own numbers.

    Attributes:
        query: [head_dim]; keys, values: [key, head_dim].
        products: query times key, dimension by dimension; their sums are the dots. [key, head_dim]
        dots: q·k; bias: added for the positions by some families; scaled: dots · scale + bias. [key]
        scores: scaled, -inf where masked; weights: after the softmax. [key]
        weighted: each value times its weight [key, head_dim]; output: their sum [head_dim].
        error: largest difference between `scaled` worked out here and the scores the model used.
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
    """Work one row of one head out by hand, from the q, k and v that the model used."""
    row = attention.part(layer, range(head, head + 1), [query])
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


def probabilities(logits: Array) -> Array:
    """Softmax over the vocabulary. [..., vocab] -> float64 [..., vocab]"""
    raised = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return raised / raised.sum(axis=-1, keepdims=True)


def divergence_bits(before: Array, after: Array) -> Array:
    """Kullback-Leibler divergence, in bits, of what two runs find likely next; from their logits. [..., vocab] -> [...]

    How many bits a reader loses who trusts the run after the change where the one before it is right.
    """
    if before.ndim > 1:  # row by row: of a long text and a large vocabulary all at once would fill gigabytes
        return np.stack([divergence_bits(one, other) for one, other in zip(before, after, strict=True)])
    p, q = probabilities(before), probabilities(after)
    safe = np.where(p > 0, p, 1.0)
    return np.where(p > 0, p * (np.log2(safe) - np.log2(np.maximum(q, 1e-300))), 0.0).sum(axis=-1).clip(min=0)


def likeliest(probability: Array, count: int) -> Array:
    """The ids of the likeliest tokens, best first. [vocab] -> int [count]"""
    best = np.argpartition(-probability, min(count, len(probability) - 1))[:count]
    return best[np.argsort(-probability[best], kind="stable")]
