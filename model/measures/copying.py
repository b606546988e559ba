"""What an output took from its source: where it looked, and runs of words that stand in both (NumPy only)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model.arrays.types import Array


@dataclass(frozen=True)
class CopiedRun:
    """Words of an output that stand in its source in the same order.

    Attributes:
        output, source: place of the first word in each; length: number of words.
    """

    output: int
    source: int
    length: int


def copied_runs(output: Sequence[str], source: Sequence[str], shortest: int = 2) -> list[CopiedRun]:
    """The longest runs of words that an output shares with its source, from its start on; they do not overlap.

    Args:
        shortest: number of words, signs not counted, that a run has at least.
    """
    starts: dict[str, list[int]] = {}
    for place, word in enumerate(source):
        starts.setdefault(word, []).append(place)
    found, place = [], 0
    while place < len(output):
        begins = starts.get(output[place], ())
        runs = [CopiedRun(place, start, _shared(output[place:], source[start:])) for start in begins]
        longest = max(runs, key=lambda run: run.length, default=None)
        if longest and sum(any(map(str.isalnum, word)) for word in output[place : place + longest.length]) >= shortest:
            found.append(longest)
            place += longest.length
        else:
            place += 1
    return found


def _shared(one: Sequence[str], other: Sequence[str]) -> int:
    """The number of words that two texts begin with in common."""
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def coverage(weights: Array, parts: Sequence[range], counted: Sequence[bool]) -> tuple[Array, Array]:
    """How much of the attention falls on each part of a source, and how much would if all tokens got the same.

    Args:
        weights: of a head, or a mean. [query, key]
        parts: tokens of each part, such as a sentence.
        counted: False for keys that are left out, such as special tokens. [key]

    Returns:
        Two arrays [part]; each sums to 1, or is 0 where nothing is counted.
    """
    keys = np.asarray(counted, bool)
    looked = np.where(keys, np.nan_to_num(weights).sum(axis=0), 0.0)
    shares = [np.array([values[list(part)].sum() for part in parts]) for values in (looked, keys.astype(float))]
    return tuple(share / share.sum() if share.sum() > 0 else share for share in shares)  # type: ignore[return-value]
