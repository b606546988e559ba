"""Attention between words instead of pieces of words (NumPy only)."""

from __future__ import annotations

from model.trace.attention import Attention
from model.trace.recorded_layer import Words
from model.trace.tokens import Tokens


def words_of(tokens: Tokens) -> Words:
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

    def joined(tokens: Tokens, words: Words) -> Tokens:
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
        tuple(layer.between(queries, keys) for layer in attention.layers),
    )
