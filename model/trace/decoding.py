"""Decoding options, the nodes of a beam search, and the result of decoding."""

from __future__ import annotations

from dataclasses import dataclass

METHODS = ("greedy", "sample", "beam")


@dataclass(frozen=True)
class Decoding:
    """The method by which next tokens are chosen, and its parameters.

    Attributes:
        method: "greedy" takes the likeliest token, "sample" draws one, "beam" runs a beam search.
        temperature, top_k, top_p: of sampling; top_k 0 and top_p 1 switch that filter off.
        seed: of sampling; the same seed gives the same text.
        beams: number of hypotheses that beam search keeps.
        max_new_tokens: the largest number of tokens that are generated.

    Raises:
        ValueError: the method is unknown or a parameter is out of range; the message shows all of them.
    """

    method: str = "greedy"
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0
    beams: int = 4
    max_new_tokens: int = 20

    def __post_init__(self) -> None:
        valid = self.method in METHODS and 1e-3 <= self.temperature <= 1e3 and self.top_k >= 0 and 0 < self.top_p <= 1
        if not valid or self.beams < 1 or self.max_new_tokens < 1:
            raise ValueError(f"This is no way to choose tokens: {self}")


@dataclass(frozen=True)
class BeamNode:
    """One token that a beam search considered.

    Attributes:
        parent: index of the preceding node, -1 at the start.
        depth: number of tokens from the start to this one, itself included.
        score: sum of the log-probabilities of those tokens.
        fate: "kept", "dropped" or "ended" (an end token, or the maximum length).
    """

    parent: int
    depth: int
    token: int
    score: float
    fate: str


@dataclass(frozen=True)
class DecodingResult:
    """The generated ids without the end token, whether that token was generated, and the tree of a beam search."""

    ids: tuple[int, ...]
    ended: bool
    tree: tuple[BeamNode, ...] = ()
