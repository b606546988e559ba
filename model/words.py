"""Attention between words instead of pieces of words (NumPy only)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from model.maps import Maps
from model.trace import Array, Attention, Recorded, Tokens


@dataclass(frozen=True, eq=False)
class Merged(Maps):
    """One layer between words: to a word the sum over its pieces, from a word their mean (Clark et al. 2019).

    Attributes:
        layer: between pieces; queries, keys: the pieces of each word.
    """

    layer: Recorded
    queries: tuple[tuple[int, ...], ...]
    keys: tuple[tuple[int, ...], ...]
    scale: float = float("nan")

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return (self.layer.shape[0], len(self.queries), len(self.keys), 0)

    def weights(self) -> Array:
        return (
            self._joined(np.add, self.layer.weights())
            / np.array([len(word) for word in self.queries], np.float32)[:, None]
        )

    def array(self, name: str) -> Array:
        if name != "allowed":
            raise ValueError(f"Words have no {name} of their own: each of their pieces has.")
        return self._joined(np.logical_or, self.layer.array("allowed"))

    def scores(self, masked: bool = True) -> Array:
        raise ValueError("Words have no scores of their own: each of their pieces has.")

    def _joined(self, operation: np.ufunc, cells: Array) -> Array:
        """[..., query piece, key piece] -> [..., query word, key word]"""
        to_words = operation.reduceat(cells, [word[0] for word in self.keys], axis=-1)
        return operation.reduceat(to_words, [word[0] for word in self.queries], axis=-2)


def words_of(tokens: Tokens) -> tuple[tuple[int, ...], ...]:
    """The places of each word's pieces, in order."""
    words: list[list[int]] = []
    for place in range(len(tokens)):
        if words and tokens.inside and tokens.inside[place]:
            words[-1].append(place)
        else:
            words.append([place])
    return tuple(tuple(word) for word in words)


def merge_words(attention: Attention) -> Attention:
    """The same attention between words instead of pieces; weights only."""
    queries, keys = words_of(attention.queries), words_of(attention.keys)

    def joined(tokens: Tokens, words: tuple[tuple[int, ...], ...]) -> Tokens:
        adds = tokens.adds or [
            text.removeprefix("·") if inside else text
            for text, inside in zip(tokens.texts, tokens.inside or [False] * len(tokens), strict=True)
        ]
        texts = ["".join(adds[i] for i in word) or tokens.texts[word[0]] for word in words]
        return Tokens(tuple(texts), tuple(tokens.special[word[0]] for word in words))

    return Attention(
        attention.kind,
        joined(attention.queries, queries),
        joined(attention.keys, keys),
        attention.num_heads,
        0,
        tuple(Merged(layer, queries, keys) for layer in attention.layers),
    )
