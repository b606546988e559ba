"""Attention between the residues of a protein as guesses of what touches when the chain is folded (NumPy only).

Symmetrised and corrected as in Rao et al. 2021, "Transformer protein language models are unsupervised structure
learners".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model.arrays.types import Array
from model.trace.attention import Attention

GAP = 6  # residues between two that are compared; nearer ones touch in any chain


@dataclass(frozen=True, eq=False)
class ContactPrecision:
    """How many of the pairs that each head looks at most touch.

    Attributes:
        hits: of the `pairs` pairs with the largest scores, how many touch. int64 [layer, head]
        pairs: as many as there are residues, or as there are pairs.
        chance: the share of all compared pairs that touch.
        nearest: how many of as many pairs touch that are nearest in the chain, which needs no model.
    """

    hits: Array
    pairs: int
    chance: float
    nearest: int

    @property
    def best(self) -> tuple[int, int]:
        """Layer and head with the most hits."""
        layer, head = np.unravel_index(int(self.hits.argmax()), self.hits.shape)
        return int(layer), int(head)


def contact_scores(weights: Array) -> Array:
    """Weights symmetrised, less the product of row and column means over the mean (average product correction).

    Args:
        weights: between residues. [..., residue, residue]
    """
    both = weights + np.swapaxes(weights, -1, -2)
    rows, columns = both.sum(-1, keepdims=True), both.sum(-2, keepdims=True)
    expected = rows * columns / both.sum((-1, -2), keepdims=True).clip(1e-12)
    found: Array = both - expected
    return found


def compared_pairs(count: int) -> tuple[Array, Array]:
    """The pairs of residues that are compared: at least `GAP` apart, the earlier one first. int64 [pair] each"""
    return np.triu_indices(count, GAP)


def top_pairs(scores: Array) -> tuple[Array, Array]:
    """As many compared pairs as there are residues, with the largest scores. int64 [pair] each

    Args:
        scores: [residue, residue]
    """
    rows, columns = compared_pairs(len(scores))
    order = np.argsort(-scores[rows, columns], kind="stable")[: len(scores)]
    return rows[order], columns[order]


def residue_weights(attention: Attention, layer: int, residues: Sequence[int]) -> Array:
    """Weights of a layer's heads between the tokens of residues, 0 where masked. float32 [head, residue, residue]"""
    weights = attention.select(layer, range(attention.num_heads), list(residues)).weights()[:, :, list(residues)]
    return np.nan_to_num(weights)


def contact_precision(attention: Attention, residues: Sequence[int], contacts: Array) -> ContactPrecision:
    """How many of each head's top pairs touch.

    Args:
        residues: the tokens of the residues, in order.
        contacts: which residues touch. bool [residue, residue]
    """
    pairs = compared_pairs(len(residues))
    hits = np.zeros((attention.num_layers, attention.num_heads), np.int64)
    for layer in range(attention.num_layers):
        for head, scores in enumerate(contact_scores(residue_weights(attention, layer, residues))):
            hits[layer, head] = contacts[top_pairs(scores)].sum()
    count, total = len(residues), len(pairs[0])
    places = np.arange(count)
    nearest = top_pairs(-np.abs(np.subtract.outer(places, places)).astype(np.float32))
    share = float(contacts[pairs].mean()) if total else float("nan")
    return ContactPrecision(hits, min(count, total), share, int(contacts[nearest].sum()))


def predicted_contacts(attention: Attention, residues: Sequence[int], weights: Array, offset: float) -> Array:
    """How likely each pair touches by a model's own contact head. float32 [residue, residue], from 0 to 1

    Args:
        residues: the tokens of the residues, in order.
        weights, offset: of the head, a logistic regression over the scores of all heads. [layer, head]
    """
    total = np.full((len(residues), len(residues)), offset, np.float32)
    for layer, of_heads in enumerate(weights):
        total += np.tensordot(of_heads, contact_scores(residue_weights(attention, layer, residues)), axes=1)
    found: Array = 1 / (1 + np.exp(-total))
    return found
