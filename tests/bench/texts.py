"""Sentences of a wished length."""

from __future__ import annotations

from typing import Any

# fmt: off
WORDS = (
    "the", "red", "car", "stopped", "and", "the", "little", "dog", "ran", "after", "the", "old", "woman", "who", "sold",
    "apples", "at", "the", "market", "near", "our", "house",
)
# fmt: on


def text_of(lens: Any, tokens: int, first: int = 0) -> str:
    """The longest text of our words, from one of them on, that a model reads as no more than so many tokens."""
    fewest, most = 1, tokens
    while fewest < most:
        middle = (fewest + most + 1) // 2
        if length(lens, words(middle, first)) <= tokens:
            fewest = middle
        else:
            most = middle - 1
    return words(fewest, first)


def words(count: int, first: int = 0) -> str:
    """So many words, from one of them on."""
    return " ".join(WORDS[(first + i) % len(WORDS)] for i in range(count))


def length(lens: Any, text: str) -> int:
    """Tokens of a text, marks included."""
    found = lens.tokenizer.encode(text)
    return len(found.ids) + 1 if hasattr(found, "ids") else len(found)
