"""Positional encodings, and which of them a model uses (NumPy only)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class PositionScheme:
    """How a model is told where its tokens stand.

    Attributes:
        kind: "sinusoidal", "learned", "rotary", "bias" (T5's relative bias, ALiBi), or "unseen".
        table: what is added to each token's vector. [position, d_model]
        frequencies: radians that each pair of a rotary query or key turns per position. [pair]
        bias: what is added to the scores, by how far the key lies behind (-) or ahead (+). [head, distance]
        distances: the distances of `bias`. [distance]
    """

    kind: str
    table: np.ndarray | None = None
    frequencies: np.ndarray | None = None
    bias: np.ndarray | None = None
    distances: np.ndarray | None = None
