"""Errors whose messages are shown to the user, and checks of input length and token ids."""

from __future__ import annotations

import re
from collections.abc import Sequence

from model.settings.settings import current


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


def check_length(which: str, tokens: int, allowed: int, model_limit: int = 0) -> None:
    """Checks that a text is neither empty nor longer than a model takes.

    Args:
        which: "text" or "target"; begins the reason of the error.
        tokens: number of tokens of the text; allowed: the maximum.
        model_limit: what the model itself takes, where that is more and the maximum is Headlight's own.

    Raises:
        InputError: the text has no tokens, or more than `allowed` or than the settings of this server let pass; the
            message names both numbers.
    """
    if not tokens:
        raise InputError(f"{which}_empty", f"The {which} is empty: type at least one word.")
    most = current().tokens_per_text
    if most is not None and most < min(tokens, allowed):
        raise InputError(
            "over_setting",
            f"The {which} has {tokens} tokens, and this server reads at most {most}. Shorten it. Who runs the server "
            f"can allow more: `tokens_per_text` in headlight.toml.",
            tokens=tokens,
            allowed=most,
        )
    if tokens > allowed and model_limit > allowed:
        raise InputError(
            "text_over_cap",
            f"The {which} has {tokens} tokens. The model takes {model_limit}, but Headlight reads at most {allowed}, "
            f"as attention maps grow with the square of them. Shorten it.",
            tokens=tokens,
            allowed=allowed,
            model=model_limit,
        )
    if tokens > allowed:
        raise InputError(
            f"{which}_too_long",
            f"The {which} has {tokens} tokens; this model takes {allowed}. Shorten it.",
            tokens=tokens,
            allowed=allowed,
        )


def check_ids(ids: Sequence[int], vocab_size: int) -> None:
    """Checks that every id is in the vocabulary.

    Raises:
        ValueError: an id is below 0 or not below `vocab_size`; the message names the first.
    """
    for i in ids:
        if not 0 <= i < vocab_size:
            raise ValueError(f"There is no token {i}: the vocabulary has {vocab_size}, counted from 0.")


class ModelError(ValueError):
    """Raised where a model cannot be opened; the message says why and what to do.

    Attributes:
        reason: id of the same message in `assets/i18n`, in the reader's language.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class OpeningError(ValueError):
    """Raised where a model's files are understood and cannot be used; the message is a clause in plain words."""


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
