"""Checks of a text: its length, how long it may be, and that its ids are in the vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from model.errors import InputError
from model.settings.settings import current

OWN_LIMIT = 2048  # tokens: maps grow with the square of them
NO_LIMIT = 1_000_000_000  # more stands for none: the library writes 10 ** 30


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
    if tokens > allowed and model_limit > NO_LIMIT:
        raise InputError(
            "text_over_own",
            f"The {which} has {tokens} tokens. The model names no limit, but Headlight reads at most {allowed}, as "
            f"attention maps grow with the square of them. Shorten it.",
            tokens=tokens,
            allowed=allowed,
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


def cap_tokens(lens: Any, token_layers: int) -> None:
    """Let a model read no longer texts than a number of tokens × layers, where it reads texts; one token at least.

    Args:
        lens: a model of this process, whose `max_tokens` is set.
    """
    settings = getattr(getattr(lens, "module", None), "config", None)
    layers = sum(count for count, _ in lens.heads.values()) or getattr(settings, "num_hidden_layers", 1)
    if lens.takes == "text" and isinstance(layers, int):
        lens.max_tokens = min(lens.max_tokens, max(token_layers // max(layers, 1), 1))


def check_ids(ids: Sequence[int], vocab_size: int) -> None:
    """Checks that every id is in the vocabulary.

    Raises:
        ValueError: an id is below 0 or not below `vocab_size`; the message names the first.
    """
    for i in ids:
        if not 0 <= i < vocab_size:
            raise ValueError(f"There is no token {i}: the vocabulary has {vocab_size}, counted from 0.")
