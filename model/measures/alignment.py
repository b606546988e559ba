"""Comparing attention patterns and states: alignment, divergence, similarity, rollout and flow (NumPy only)."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher

import numpy as np

from model.arrays.types import Array
from model.trace.tokens import Tokens

Pairs = tuple[tuple[int | None, int | None], ...]


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
