"""Alignment of two token sequences, and maps laid out on the aligned tokens (NumPy only)."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher

import numpy as np

from model.arrays.types import Array
from model.trace.tokens import Tokens

# Positions of aligned tokens in two sequences; None where the other sequence has no partner.
AlignedPairs = tuple[tuple[int | None, int | None], ...]


def align_tokens(a: Tokens, b: Tokens) -> AlignedPairs:
    """Pairs of positions of equal tokens in two texts, in order; a token without a partner is paired with None.

    Common runs are found by `difflib.SequenceMatcher`; between two of them come first the tokens of `a`, then of `b`.
    """
    pairs: list[tuple[int | None, int | None]] = []
    for operation, a0, a1, b0, b1 in SequenceMatcher(None, a.texts, b.texts, autojunk=False).get_opcodes():
        if operation == "equal":
            pairs += zip(range(a0, a1), range(b0, b1), strict=True)
        else:
            pairs += [(i, None) for i in range(a0, a1)] + [(None, j) for j in range(b0, b1)]
    return tuple(pairs)


def expand_to_alignment(values: Array, rows: Sequence[int | None], columns: Sequence[int | None]) -> Array:
    """A map on the axes of an alignment; NaN in rows and columns of tokens that its text does not have.

    Args:
        values: [query, key]
        rows, columns: for each aligned pair the query's or key's position in this text, or None.

    Returns:
        float32 [row, column]
    """
    expanded = values[np.ix_([i or 0 for i in rows], [j or 0 for j in columns])].astype(np.float32)
    expanded[[i is None for i in rows]] = np.nan
    expanded[:, [j is None for j in columns]] = np.nan
    return expanded
