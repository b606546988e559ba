"""Attention between words instead of pieces of words (NumPy only)."""

from __future__ import annotations

from model.trace.attention import Attention
from model.trace.recorded_layer import WordPieces
from model.trace.tokens import Tokens


def word_pieces(tokens: Tokens) -> WordPieces:
    """For each word, the positions of its pieces, in order."""
    words: list[list[int]] = []
    for position in range(len(tokens)):
        if words and tokens.inside_word and tokens.inside_word[position]:
            words[-1].append(position)
        else:
            words.append([position])
    return tuple(tuple(word) for word in words)


def merge_words(attention: Attention) -> Attention:
    """The same attention between words instead of pieces of words; it has weights and a mask only.

    The weight on a word is the sum over its pieces, the weights from a word are the mean over its pieces (Clark et al.
    2019).
    """
    queries, keys = word_pieces(attention.queries), word_pieces(attention.keys)
    return Attention(
        attention.kind,
        _merge_tokens(attention.queries, queries),
        _merge_tokens(attention.keys, keys),
        attention.num_heads,
        0,
        tuple(layer.merged_into_words(queries, keys) for layer in attention.layers),
    )


def _merge_tokens(tokens: Tokens, words: WordPieces) -> Tokens:
    """The words that pieces make up."""
    parts = tokens.word_parts or [
        text.removeprefix("·") if inside else text
        for text, inside in zip(tokens.texts, tokens.inside_word or [False] * len(tokens), strict=True)
    ]
    texts = ["".join(parts[piece] for piece in word) or tokens.texts[word[0]] for word in words]
    return Tokens(tuple(texts), tuple(tokens.special[word[0]] for word in words))
