"""Attention between words instead of pieces of words (NumPy only)."""

from __future__ import annotations

from collections.abc import Sequence

from model.trace.attention import Attention
from model.trace.recorded_layer import WordPieces
from model.trace.tokens import Tokens


def word_pieces(tokens: Tokens) -> WordPieces:
    """For each word, the positions of its pieces, in order."""
    return _joined(tokens.inside_word or (False,) * len(tokens))


def _joined(continues: Sequence[bool]) -> WordPieces:
    """Positions in groups. continues: for each position, whether it belongs to the one before"""
    words: list[list[int]] = []
    for position, inside in enumerate(continues):
        if words and inside:
            words[-1].append(position)
        else:
            words.append([position])
    return tuple(tuple(word) for word in words)


def merge_words(attention: Attention) -> Attention:
    """The same attention between words instead of pieces of words; it has weights and a mask only.

    The weight on a word is the sum over its pieces, the weights from a word are the mean over its pieces (Clark et al.
    2019).
    """
    return _merge(attention, word_pieces(attention.queries), word_pieces(attention.keys))


def join_silence(attention: Attention) -> Attention:
    """The same attention with the silence behind a sound as one token, summed and averaged as in `merge_words`.

    An attention between tokens without such a silence is returned itself.
    """
    queries, keys = map(_goes_on, (attention.queries, attention.keys))
    return _merge(attention, _joined(queries), _joined(keys)) if any(queries) or any(keys) else attention


def _goes_on(tokens: Tokens) -> list[bool]:
    """For each token, whether it is silence that goes on from the token before."""
    inside = tokens.inside_word or (False,) * len(tokens)
    return [one and special for one, special in zip(inside, tokens.special, strict=True)]


def _merge(attention: Attention, queries: WordPieces, keys: WordPieces) -> Attention:
    """Attention between groups of tokens; the positions of each."""
    return Attention(
        attention.kind,
        _merge_tokens(attention.queries, queries),
        _merge_tokens(attention.keys, keys),
        attention.num_heads,
        0,
        tuple(layer.merged_into_words(queries, keys) for layer in attention.layers),
        attention.layer_index,
    )


def _merge_tokens(tokens: Tokens, words: WordPieces) -> Tokens:
    """The words that pieces make up."""
    if len(words) == len(tokens):
        return tokens
    parts = tokens.word_parts or [
        text.removeprefix("·") if inside else text
        for text, inside in zip(tokens.texts, tokens.inside_word or [False] * len(tokens), strict=True)
    ]
    texts = ["".join(parts[piece] for piece in word) or tokens.texts[word[0]] for word in words]
    return Tokens(tuple(texts), tuple(tokens.special[word[0]] for word in words))
