"""Comparing attention patterns and states: alignment, divergence, similarity, rollout and flow (NumPy only)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher

import numpy as np

from model.trace import Array, Attention, Tokens

Pairs = tuple[tuple[int | None, int | None], ...]

SCALES = ("weight", "log", "uniform", "norm")
CELLS = 100_000_000  # weights that are compared at once, as float32
FLOOR = 1e-4  # weights below it look the same on the logarithmic scale


def align(a: Tokens, b: Tokens) -> Pairs:
    """Which token of one text stands for which of the other; None has no partner there.

    Runs that both share are paired, as `difflib` finds them; between two of them come first those of `a`, then of `b`.
    """
    pairs: list[tuple[int | None, int | None]] = []
    for what, a0, a1, b0, b1 in SequenceMatcher(None, a.texts, b.texts, autojunk=False).get_opcodes():
        if what == "equal":
            pairs += zip(range(a0, a1), range(b0, b1), strict=True)
        else:
            pairs += [(i, None) for i in range(a0, a1)] + [(None, j) for j in range(b0, b1)]
    return tuple(pairs)


def spread(values: Array, rows: Sequence[int | None], columns: Sequence[int | None]) -> Array:
    """Values on the axes of an alignment; NaN where this side has no such token. [query, key] -> [row, column]"""
    taken = values[np.ix_([i or 0 for i in rows], [j or 0 for j in columns])].astype(np.float32)
    taken[[i is None for i in rows]] = np.nan
    taken[:, [j is None for j in columns]] = np.nan
    return taken


def jensen_shannon(p: Array, q: Array) -> Array:
    """Jensen-Shannon divergence in bits: 0 for equal distributions, 1 for ones that share nothing (Lin 1991).

    Args:
        p, q: distributions along the last axis. [..., key]
    """
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        both = [np.where(one > 0, one * np.log2(one / middle), 0).sum(-1) for one in (p, q)]
    return np.clip((both[0] + both[1]) / 2, 0, 1)


def row_divergence(a: Array, b: Array, rows: Pairs, columns: Pairs) -> Array:
    """Divergence of each aligned query's row; keys without a partner count as looked at by one side only.

    Args:
        a, b: weights of the two sides. [query, key]

    Returns:
        [aligned row]; NaN where a query has no partner.
    """
    left = np.nan_to_num(spread(a, [i for i, _ in rows], [i for i, _ in columns])).astype(np.float64)
    right = np.nan_to_num(spread(b, [j for _, j in rows], [j for _, j in columns])).astype(np.float64)
    alone = np.array([i is None or j is None for i, j in rows], bool)
    return np.where(alone, np.nan, jensen_shannon(left, right))


def stride(attention: Attention) -> int:
    """Every how many queries' rows are enough to compare all heads of all layers: 1 unless their maps fill a memory."""
    cells = attention.num_layers * attention.num_heads * len(attention.queries) * len(attention.keys)
    return -(-cells // CELLS)


def head_similarity(attention: Attention, layer: int, head: int, step: int = 1) -> Array:
    """How alike every head's pattern is to a chosen one's: 1 minus the mean divergence of the rows.

    Args:
        step: take every so many queries' rows only.

    Returns:
        [layer, head]
    """
    return attention.together("likeness", layer, head, step)


def head_map(attention: Attention, step: int = 1) -> tuple[Array, float]:
    """Each head's place in the plane that keeps most of what tells their patterns apart.

    Principal components of the square roots of the weights, whose distances are Hellinger distances.

    Args:
        step: take every so many queries' rows only.

    Returns:
        [layer, head, 2], and the share of the variance that the plane keeps.
    """
    power, vectors = np.linalg.eigh(attention.together("products", step).astype(np.float64))
    power, vectors = power[::-1].clip(0), vectors[:, ::-1]
    points = np.zeros((len(power), 2))
    shown = min(2, len(power))
    points[:, :shown] = (vectors * np.sqrt(power))[:, :shown]
    points *= np.where(points[np.abs(points).argmax(axis=0), [0, 1]] < 0, -1, 1)  # a sign that does not flip
    share = float(power[:2].sum() / power.sum().clip(1e-12))
    return points.reshape(attention.num_layers, attention.num_heads, 2), share


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


def scaled(weights: Array, allowed: Array, scale: str) -> Array:
    """Weights as they are, as powers of ten, or as multiples of an even look at all that may be seen. [..., q, k]"""
    if scale == "log":
        return np.log10(np.maximum(weights, FLOOR))
    if scale == "uniform":
        return weights * allowed.sum(-1, keepdims=True)
    return weights


def value_norms(weights: Array, value: Array, w_o: Array) -> Array:
    """How long a vector each key really adds: the weight times the length of its value behind W_O.

    ‖α f(x)‖ with f(x) = (x W_V + b_V) W_O, of one head (Kobayashi et al. 2020).

    Args:
        weights: [query, key]; value: [key, head_dim]; w_o: the head's rows of W_O. [head_dim, d]

    Returns:
        [query, key]
    """
    return weights * np.linalg.norm(value @ w_o, axis=-1)


def without_sink(weights: Array, keys: Tokens) -> tuple[Array, float]:
    """Weights without the tokens that heads rest on (special ones and the first), each row made to sum to 1 again.

    Returns:
        [..., query, key] with 0 in the columns left out, and the mean share that was taken away. A row that looked
        nowhere else is 0.
    """
    sink = np.array(keys.special, bool)
    sink[0] = True
    kept = np.where(sink, 0, weights)
    total = kept.sum(-1, keepdims=True)
    removed = float((weights.sum(-1, keepdims=True) - total).mean())
    return np.divide(kept, total, out=np.zeros_like(kept), where=total > 0), removed


def rollout(layers: Iterable[Array], query: int) -> Array:
    """How much of each input token is in one token after the uppermost layer (Abnar & Zuidema 2020).

    Later layers stand on the left, A_2 A_1 x, so a row of the product needs one layer at a time, from the top down.

    Args:
        layers: self-attention with the residual in it, last layer first. [query, key] each

    Returns:
        [input token]
    """
    from_top = iter(layers)
    row = next(from_top)[query]
    for layer in from_top:
        row = row @ layer
    return row


def flow(layers: Array, depth: int, query: int) -> Array:
    """The largest flow from one token after layer `depth` down to each input token (Abnar & Zuidema 2020).

    Each weight is a pipe of that capacity. Unlike rollout, paths that share a pipe must share it.

    Args:
        layers: as for `rollout`, but first layer first. [layer, query, key]

    Returns:
        [input token]
    """
    import networkx as nx

    pipes = nx.DiGraph()
    count = layers.shape[-1]
    for layer in range(depth + 1):
        pipes.add_weighted_edges_from(
            (((layer + 1, q), (layer, k), float(layers[layer, q, k])) for q in range(count) for k in range(count)),
            weight="capacity",
        )
    return np.array([nx.maximum_flow_value(pipes, (depth + 1, query), (0, k)) for k in range(count)])
