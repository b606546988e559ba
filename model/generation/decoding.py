"""Choosing the next token, again and again: greedy, sampling (temperature, top-k, top-p) and beam search.

Works for every model: all it needs is a function from what was written so far to the scores of what may come next.
"""

from __future__ import annotations

from dataclasses import dataclass

METHODS = ("greedy", "sample", "beam")


@dataclass(frozen=True)
class Decoding:
    """How the next token is chosen.

    Attributes:
        method: "greedy" takes the likeliest, "sample" draws one, "beam" keeps the likeliest few texts.
        temperature, top_k, top_p: of sampling; top_k 0 and top_p 1 leave nothing out.
        seed: of sampling; the same seed draws the same text.
        beams: how many texts beam search keeps.
        longest: how many tokens may be written.

    Raises:
        ValueError: with the value that cannot be.
    """

    method: str = "greedy"
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0
    beams: int = 4
    longest: int = 20

    def __post_init__(self) -> None:
        fine = self.method in METHODS and 1e-3 <= self.temperature <= 1e3 and self.top_k >= 0 and 0 < self.top_p <= 1
        if not fine or self.beams < 1 or self.longest < 1:
            raise ValueError(f"This is no way to choose tokens: {self}")


@dataclass(frozen=True)
class Node:
    """One token that beam search looked at.

    Attributes:
        parent: number of the node before it, -1 at the start; depth: how many tokens lead here, itself included.
        score: sum of the log-probabilities on the way here.
        fate: "kept", "dropped" or "ended" (an end mark, or no more room).
    """

    parent: int
    depth: int
    token: int
    score: float
    fate: str


@dataclass(frozen=True)
class Decoded:
    """What was written: its ids without the end mark, whether it ended by itself, and the tree of a beam search."""

    ids: tuple[int, ...]
    ended: bool
    tree: tuple[Node, ...] = ()
