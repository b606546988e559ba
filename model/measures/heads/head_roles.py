"""Roles of attention heads: previous, same or next token, special tokens, induction (NumPy only)."""

from __future__ import annotations

import numpy as np

from model.arrays.types import Array
from model.trace.attention import Attention
from model.trace.tokens import Tokens


def token_positions(tokens: Tokens, specials: bool) -> list[int]:
    """Positions of the tokens in a sequence, in order.

    Args:
        specials: include special tokens, such as "[CLS]".
    """
    return [i for i, special in enumerate(tokens.special) if specials or not special]


def special_mass(attention: Attention, layer: int, head: int) -> float:
    """Share of a head's attention on special tokens, from 0 to 1; mean over the queries that are not special."""
    rows = token_positions(attention.queries, specials=False)
    columns = [i for i, special in enumerate(attention.keys.special) if special]
    if not rows:
        return 0.0
    return float(np.nansum(attention.pooled(layer, head, rows, columns)) / len(rows))


ROLES = ("previous", "same", "next")


def role_scores(attention: Attention, layer: int) -> dict[str, Array]:
    """Mean weight of each self-attention head on the previous, the same and the next token.

    The mean is over the queries that have such a neighbour and are not special tokens.

    Returns:
        role -> float64 [head]; NaN where no query has such a neighbour.
    """
    weights = attention.weights(layer).astype(np.float64)
    queries = np.array(token_positions(attention.queries, specials=False))
    scores = {}
    for role, offset in zip(ROLES, (-1, 0, 1), strict=True):
        q = queries[(queries + offset >= 0) & (queries + offset < len(attention.keys))]
        scores[role] = weights[:, q, q + offset].mean(axis=-1) if len(q) else np.full(attention.num_heads, np.nan)
    return scores


def induction_scores(attention: Attention, layer: int) -> Array:
    """Mean weight of each head on the token that followed the query's token at its last occurrence.

    The mean is over the queries whose token occurred before: the same id, not only the same label. High in induction
    heads (Olsson et al. 2022).

    Returns:
        float64 [head]; NaN where no token repeats.
    """
    # As the tokenizer writes them, tokens are as distinct as their ids; labels of two of them may be equal.
    tokens = attention.queries.raw or attention.query_tokens
    last: dict[str, int] = {}
    pairs = []
    for position, token in enumerate(tokens):
        if token in last and last[token] + 1 < position:
            pairs.append((position, last[token] + 1))
        last[token] = position
    if not pairs:
        return np.full(attention.num_heads, np.nan)
    queries, keys = np.array(pairs).T
    return attention.weights(layer).astype(np.float64)[:, queries, keys].mean(axis=-1)
