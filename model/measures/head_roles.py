"""What can be read off a trace: what it tends to do, how tokens move (NumPy only)."""

from __future__ import annotations

import numpy as np

from model.arrays.types import Array
from model.trace.attention import Attention
from model.trace.tokens import Tokens


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
