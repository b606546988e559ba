"""Encoding a text with a Hugging Face tokenizer: its ids, its labelled tokens, and notes on unknown words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from model.errors import check_length
from model.tokenization.labels import Piece, label_ids, tokenizer_lock
from model.trace.tokens import Tokens


def encode(tokenizer: Any, text: str, which: str, allowed: int, special: bool = True) -> tuple[list[int], Tokens]:
    """The ids and the tokens, with readable labels, of a text.

    Args:
        tokenizer: of Hugging Face.
        which: "text" or "target".
        allowed: the largest number of tokens that the model takes.
        special: True to add the special tokens that the model expects.

    Raises:
        InputError: the text is blank or too long.
    """
    sides = {"text_target": text} if which == "target" else {"text": text}
    with tokenizer_lock:
        encoding = tokenizer(
            **sides,
            add_special_tokens=special,
            return_offsets_mapping=tokenizer.is_fast,
            split_special_tokens=True,
        )
    ids = encoding["input_ids"]
    check_length(which, len(ids) if text.strip() else 0, allowed)

    def pieces() -> list[Piece]:
        return [(text[start:end], start, end) for start, end in encoding["offset_mapping"]]

    return ids, label_ids(tokenizer, ids, pieces if tokenizer.is_fast else None)


def unknown_token_notes(tokenizer: Any, text: str, ids: Sequence[int]) -> tuple[tuple[str, str], ...]:
    """A note ("unknown", words) that names the words which became the unknown token; empty where there are none.

    Some families also end their texts with that token, where it stands for nothing that was typed.
    """
    if tokenizer.unk_token_id not in ids or not tokenizer.is_fast:
        return ()
    with tokenizer_lock:
        encoding = tokenizer(text, return_offsets_mapping=True, split_special_tokens=True)
    spans = zip(encoding["input_ids"], encoding["offset_mapping"], strict=True)
    words = dict.fromkeys(text[start:end] for i, (start, end) in spans if i == tokenizer.unk_token_id and end > start)
    return (("unknown", " ".join(words)),) if words else ()
