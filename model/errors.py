"""What can be wrong with what a person typed."""

from __future__ import annotations

from collections.abc import Sequence


class InputError(ValueError):
    """The text cannot be traced; the message says why and what to do.

    Attributes:
        reason: id of the sentence in assets that says the same in the reader's language.
        values: what that sentence names, such as the number of tokens.
    """

    def __init__(self, reason: str, message: str, **values: int | str) -> None:
        super().__init__(message)
        self.reason = reason
        self.values = values


def check_length(which: str, tokens: int, allowed: int) -> None:
    """Refuse a text that is empty or longer than a model takes; `which` is "text" or "target".

    Raises:
        InputError: with the number of tokens and how many are allowed.
    """
    if not tokens:
        raise InputError(f"{which}_empty", f"The {which} is empty: type at least one word.")
    if tokens > allowed:
        raise InputError(
            f"{which}_too_long",
            f"The {which} has {tokens} tokens; this model takes {allowed}. Shorten it.",
            tokens=tokens,
            allowed=allowed,
        )


def check_ids(ids: Sequence[int], vocab_size: int) -> None:
    """Refuse numbers that are no tokens.

    Raises:
        ValueError: with the first of them.
    """
    for i in ids:
        if not 0 <= i < vocab_size:
            raise ValueError(f"There is no token {i}: the vocabulary has {vocab_size}, counted from 0.")


class ModelError(ValueError):
    """A model cannot be opened; the message says why and what to do.

    Attributes:
        reason: id of the sentence in assets that says the same in the reader's language.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
