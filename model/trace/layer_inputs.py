"""Inputs and outputs of one attention layer, ready to be computed by another library (NumPy only)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from model.arrays.types import Array


@dataclass(frozen=True, eq=False)
class FormulaInputs:
    """Inputs of the attention formula softmax(cap(q kᵀ · scale) + bias) v, with masked cells left out.

    Attributes:
        query: [head, query, head_dim]; key, value: [head, key, head_dim].
        mask: bool [query, key], True where a query may look; bias: [head, query, key].
        softcap: c, where scaled scores become c · tanh(score / c); 0 without.
        sinks: a score of each head that takes its share of a row and is no key; -inf without. [head]
    """

    query: Array
    key: Array
    value: Array
    mask: Array
    bias: Array
    scale: float
    softcap: float
    sinks: Array


@dataclass(frozen=True, eq=False)
class LayerInputs:
    """Inputs and parameters of a whole multi-head attention layer with scale 1 / √head_dim.

    Attributes:
        query_input: hidden states that the queries are projected from. [query, d]
        key_input: hidden states that keys and values are projected from; in self-attention the same. [key, d]
        w: W_Q, W_K, W_V and W_O, used as x W + b, [4, d, d]; b: [4, d].
        mask: bool [query, key], True where a query may look.
    """

    query_input: Array
    key_input: Array
    w: Array
    b: Array
    num_heads: int
    mask: Array


@dataclass(frozen=True, eq=False)
class MultiHeadLayer:
    """A model's attention layer that is the plain multi-head layer of Vaswani et al. 2017.

    Attributes:
        output: what the model's own layer returned, [query, d].
        names: "q", "k", "v", "o" -> the name of that matrix's module.
    """

    inputs: LayerInputs
    output: Array
    names: Mapping[str, str]

    @property
    def w_o(self) -> Array:
        """The output projection. [head · head_dim, d]"""
        return self.inputs.w[3]


@dataclass(frozen=True, eq=False)
class NotMultiHead:
    """Why a model's attention layer is not the plain multi-head layer of Vaswani et al. 2017.

    Attributes:
        reason: "bias": a bias is added to its scores; "between": another operation stands between a projection and the
            formula; "shape": its heads do not divide d_model evenly; "unseen": the family shows its weights only.
        w_o: the output projection, where it was found all the same. [head · head_dim, d]
    """

    reason: str
    w_o: Array | None = None
