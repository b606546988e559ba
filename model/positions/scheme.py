"""How a model encodes token positions (NumPy only)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest

import numpy as np


@dataclass(frozen=True, eq=False)
class Rotation:
    """Pairs of dimensions that turn with the position, each by its own angle.

    Attributes:
        frequencies: angle of each pair, in radians per position. [pair]
        pairs: the two dimensions of a query or key that each frequency rotates; of a sinusoidal table the columns of
            each sine and its cosine. None where it is not known which they are. [pair, 2]
        layers: the attention layers, counted among those shown, whose queries and keys are rotated so.
    """

    frequencies: np.ndarray
    pairs: np.ndarray | None = None
    layers: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class PositionScheme:
    """The positional encoding of a stack of a model.

    Attributes:
        kind: "sinusoidal", "learned", "rotary", "bias" (T5's relative bias, ALiBi), "none" where queries, keys and
            scores of equal tokens do not depend on their places, "relative" where what a distance adds depends on the
            tokens, too (DeBERTa), or "unseen" where it is not known.
        table: encoding that is added to the embedding of the token at each position, row 0 for a text's first token.
            [position, d_model]
        first_row: the row of the model's own table that the first token gets; RoBERTa's is 2.
        rotations: kind "rotary": one for each set of frequencies; "sinusoidal": the one of the table's columns.
        unrotated: kind "rotary": the attention layers that are not rotated.
        bias: added to the scores, by distance from query to key: negative behind, positive ahead; of the first layer
            where layers differ. [head, distance]
        layer_biases: the same of each layer, where layers differ. [layer, head, distance]
        distances: the distances of `bias`, in tokens. [distance]
        error: by how much the rows of `table` differ from what the model was measured to add, from place to place, as a
            share of the largest; None where it could not be measured, or there is no table.
    """

    kind: str
    table: np.ndarray | None = None
    first_row: int = 0
    rotations: tuple[Rotation, ...] = ()
    unrotated: tuple[int, ...] = ()
    bias: np.ndarray | None = None
    layer_biases: np.ndarray | None = None
    distances: np.ndarray | None = None
    error: float | None = None

    def rotation(self, layer: int) -> Rotation | None:
        """What rotates the queries and keys of an attention layer; None where nothing is known to."""
        return next((one for one in self.rotations if layer in one.layers), None)

    def equals(self, other: PositionScheme) -> bool:
        """Whether another stack encodes positions in the same way."""

        def parts(scheme: PositionScheme) -> list[np.ndarray | None]:
            tables = [scheme.table, scheme.bias, scheme.layer_biases, scheme.distances]
            return [*tables, *(one.frequencies for one in scheme.rotations)]

        return self.kind == other.kind and all(
            a is b or (a is not None and b is not None and np.array_equal(a, b))
            for a, b in zip_longest(parts(self), parts(other))
        )


def table_error(table: np.ndarray, states: np.ndarray) -> float | None:
    """By how much the rows of a table differ from what equal tokens differ by, as a share of the table's largest.

    Args:
        table: [position, d_model]; states: of equal tokens at the first positions. [token, d_model]

    Returns:
        None where the states have another width or number than rows of the table, or do not differ.
    """
    steps = (states - states[0]).astype(np.float64)
    rows = table[: len(steps)]
    if rows.shape != steps.shape or not np.abs(steps).max() > 0:
        return None
    return float(np.abs(steps - (rows - rows[0])).max() / max(np.abs(rows).max(), 1e-12))
