"""Errors whose messages are shown to the user."""

from __future__ import annotations

import re


class InputError(ValueError):
    """Raised where a text cannot be traced; the message says why and what to do.

    Attributes:
        reason: id of the same message in `assets/i18n`, in the reader's language.
        values: values to fill into that message, such as the number of tokens.
    """

    def __init__(self, reason: str, message: str, **values: int | str) -> None:
        super().__init__(message)
        self.reason = reason
        self.values = values


class ModelError(ValueError):
    """Raised where a model cannot be opened; the message says why and what to do.

    Attributes:
        reason: id of the same message in `assets/i18n`, in the reader's language.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class OpeningError(ValueError):
    """Raised where a model's files are understood and cannot be used; the message is a clause in plain words.

    Args:
        reason: of the `ModelError` that it becomes.
    """

    def __init__(self, message: str, reason: str = "not_transformer") -> None:
        super().__init__(message)
        self.reason = reason


def is_failure(error: BaseException) -> bool:
    """Whether an error says that code failed; not where it ends a program, or the run of a page.

    A panic of Rust code is no Exception.
    """
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there was no memory left; PyTorch has one of its own for each device."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (
            isinstance(error, RuntimeError)
            and re.search("not enough memory|can't allocate memory", str(error)) is not None
        )
    )
