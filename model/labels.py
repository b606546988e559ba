"""Tokens as people read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from model.trace import Tokens


def readable(raw: Sequence[str], special: Sequence[bool]) -> Tokens:
    """BPE pieces as people read them: no "▁" at a word's start, "·" before a piece that goes on inside a word."""
    texts, insides = [], []
    for before, token in zip(["", *raw], raw, strict=False):
        inside = before[-1:].isalnum() and token[:1].isalnum()
        texts.append(f"·{token}" if inside else token.removeprefix("▁") or "␣")
        insides.append(inside)
    return Tokens(tuple(texts), tuple(special), tuple(insides))


def labelled(tokenizer: Any, ids: Sequence[int], pieces: Sequence[tuple[str, int, int]] | None = None) -> Tokens:
    """Labels of a Hugging Face tokenizer's ids: what was typed where that is known, else each piece decoded alone.

    Args:
        pieces: for each id the text it stands for, and where that begins and ends.
    """
    marks = set(tokenizer.all_special_ids)
    special = [i in marks for i in ids]
    raw = [str(token) for token in tokenizer.convert_ids_to_tokens(list(ids))]
    if pieces is None:
        pieces = [(tokenizer.convert_tokens_to_string([token]), -1, -1) for token in raw]
    labels, insides = [], []
    before, end_before = "", -1
    for token, is_special, (piece, start, end) in zip(raw, special, pieces, strict=True):
        label = token if is_special else piece.strip() or token
        inside = not is_special and start >= 0 and start == end_before and before.isalnum() and piece[:1].isalnum()
        labels.append(f"·{label}" if inside else label)
        insides.append(inside)
        before, end_before = piece[-1:], end
    return Tokens(tuple(labels), tuple(special), tuple(insides))
