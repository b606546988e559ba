"""Numbers of a pass taken apart into what they are made of: a token's score, and one attention score (NumPy only)."""

from __future__ import annotations

from dataclasses import dataclass

from model.arrays.types import Array


@dataclass(frozen=True)
class Source:
    """Where a part of the residual stream comes from.

    Attributes:
        kind: "token", "positions", "other" (token types), "attention", "cross_attention", "feed_forward", "experts",
            "shift" (biases of norms and projections), or "stream" (what could not be told apart).
        layer: zero-based; None where it belongs to none.
        head: of an attention, where its heads were told apart.
        stack: whose stream it is in: "encoder" or "decoder".
    """

    kind: str
    layer: int | None = None
    head: int | None = None
    stack: str = "decoder"

    def __str__(self) -> str:
        places = [str(place) for place in (self.layer, self.head) if place is not None]
        return ".".join([self.kind, *places])


@dataclass(frozen=True, eq=False)
class Credit:
    """Direct logit attribution: what each head and feed-forward layer adds to the score of a token.

    The scale of the last norm, and of norms on the way, stays as it was in the pass.

    Attributes:
        sources: one for each part.
        parts: what each adds; they sum to `logit` up to `error`. [source]
        logit: the token's score, or the difference of the scores of two tokens.
        error: difference of the sum and the model's own score.
        softcap: c, where the model's scores are c · tanh(score / c), and `logit` is the score before (Gemma 2).
    """

    sources: tuple[Source, ...]
    parts: Array
    logit: float
    error: float
    softcap: float | None = None

    @property
    def nbytes(self) -> int:
        """Approximate size in bytes."""
        return self.parts.nbytes + 100 * len(self.sources)

    def __repr__(self) -> str:
        return f"Credit({len(self.parts)} parts, logit {self.logit:.3f}, error {self.error:.1e})"


@dataclass(frozen=True, eq=False)
class Split:
    """One attention score taken apart into what the query's and the key's stream are made of.

    Attributes:
        query_sources, key_sources: what the two streams are made of.
        parts: what each pair adds to the score; they sum to `score` up to `error`. [query source, key source]
        score: before softmax and mask.
        error: difference of the sum and the model's own score.
    """

    query_sources: tuple[Source, ...]
    key_sources: tuple[Source, ...]
    parts: Array
    score: float
    error: float

    @property
    def queries(self) -> tuple[str, ...]:
        """Names of the query's sources."""
        return tuple(map(str, self.query_sources))

    @property
    def keys(self) -> tuple[str, ...]:
        """Names of the key's sources."""
        return tuple(map(str, self.key_sources))

    @property
    def nbytes(self) -> int:
        """Approximate size in bytes."""
        return self.parts.nbytes + 100 * (len(self.query_sources) + len(self.key_sources))

    def __repr__(self) -> str:
        return f"Split({len(self.queries)} × {len(self.keys)} parts, score {self.score:.3f}, error {self.error:.1e})"
