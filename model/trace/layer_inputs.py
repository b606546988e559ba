"""What one attention layer computes with, ready to be handed to another library. NumPy only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from model.arrays.types import Array


@dataclass(frozen=True, eq=False)
class FormulaInputs:
    """What the formula takes: softmax(q kᵀ · scale + bias) v where the mask allows it.

    Attributes:
        query: [head, query, head_dim]; key, value: [head, key, head_dim].
        mask: bool [query, key], True where a query may look; bias: [head, query, key].
    """

    query: Array
    key: Array
    value: Array
    mask: Array
    bias: Array
    scale: float


@dataclass(frozen=True, eq=False)
class LayerInputs:
    """What a whole multi-head layer takes; its scale is 1 / √head_dim.

    Attributes:
        asking: [query, d]; asked: [key, d]; the same tokens in self-attention.
        w: W_Q, W_K, W_V and W_O, used as x W + b, [4, d, d]; b: [4, d].
        mask: bool [query, key], True where a query may look.
    """

    asking: Array
    asked: Array
    w: Array
    b: Array
    num_heads: int
    mask: Array


@dataclass(frozen=True, eq=False)
class Layer:
    """A multi-head layer as it was found in a model.

    Attributes:
        output: what the model's own layer gave, [query, d].
        names: "q", "k", "v", "o" -> the name of that matrix's module.
    """

    inputs: LayerInputs
    output: Array
    names: Mapping[str, str]

    @property
    def w_o(self) -> Array:
        """[head · head_dim, d]"""
        return self.inputs.w[3]


@dataclass(frozen=True, eq=False)
class NoLayer:
    """Why a model's layer is not the plain multi-head layer of the 2017 paper.

    Attributes:
        reason: "bias" is added to its scores; "between": something happens between a matrix and the formula;
            "shape": its heads do not share out the model's dimensions; "unseen": the family shows its weights only.
        w_o: W_O all the same, where it could be found. [head · head_dim, d]
    """

    reason: str
    w_o: Array | None = None
