"""How a model encodes token positions (NumPy only)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class PositionScheme:
    """The positional encoding of a model.

    Attributes:
        kind: "sinusoidal", "learned", "rotary", "bias" (T5's relative bias, ALiBi), or "unseen" where it is not known.
        table: encoding that is added to the embedding of the token at each position. [position, d_model]
        frequencies: rotary angle of each pair of query or key dimensions, in radians per position. [pair]
        pairs: the two dimensions of a query or key that each frequency rotates, where all layers do so. [pair, 2]
        bias: added to the scores, by distance from query to key: negative behind, positive ahead. [head, distance]
        distances: the distances of `bias`, in tokens. [distance]
    """

    kind: str
    table: np.ndarray | None = None
    frequencies: np.ndarray | None = None
    pairs: np.ndarray | None = None
    bias: np.ndarray | None = None
    distances: np.ndarray | None = None
