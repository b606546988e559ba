"""Texts with a given number of tokens."""

from __future__ import annotations

from typing import Any

# fmt: off
WORDS = (
    "the", "red", "car", "stopped", "and", "the", "little", "dog", "ran", "after", "the", "old", "woman", "who", "sold",
    "apples", "at", "the", "market", "near", "our", "house",
)
# fmt: on


def text_of_length(lens: Any, tokens: int, first: int = 0) -> str:
    """The longest text of `WORDS` with at most so many tokens; `first` is the index of its first word."""
    fewest, most = 1, tokens
    while fewest < most:
        middle = (fewest + most + 1) // 2
        if token_count(lens, word_sequence(middle, first)) <= tokens:
            fewest = middle
        else:
            most = middle - 1
    return word_sequence(fewest, first)


def word_sequence(count: int, first: int = 0) -> str:
    """A text of so many `WORDS`, repeated as needed; `first` is the index of the first one."""
    return " ".join(WORDS[(first + i) % len(WORDS)] for i in range(count))


def token_count(lens: Any, text: str) -> int:
    """Number of tokens of a text, special tokens included."""
    encoded = lens.tokenizer.encode(text)
    return len(encoded.ids) + 1 if hasattr(encoded, "ids") else len(encoded)
