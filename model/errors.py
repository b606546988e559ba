"""What can be wrong with what a person typed."""

from __future__ import annotations


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
