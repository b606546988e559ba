"""The fields of a claim in a lesson file, and the trace, attention and token positions that they name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from model.arrays.types import Array
from model.assets import ASSETS
from model.trace.attention import Attention
from model.trace.edits import Edits
from model.trace.lens import Lens
from model.trace.tokens import Tokens
from model.trace.trace import Trace

ClaimFields = Mapping[str, Any]  # text, target, edits, kind, layer, head, query, key, …; `assets/lessons/README.md`


def claim_trace(lens: Lens, claim: ClaimFields) -> Trace:
    """The trace of the text, target and edits of a claim; of its picture or clip where the model sees these."""
    read = claim["text"] if lens.takes == "text" else _shown(claim["picture"])
    return lens.trace(read, claim["target"], Edits.parse(claim["edits"]))


def _shown(name: str) -> str:
    """Path of an example picture or clip.

    Raises:
        KeyError: there is none of this name.
    """
    found = [file for kind in ("clips/*.gif", "pictures/*.png") for file in ASSETS.glob(kind) if file.stem == name]
    if not found:
        raise KeyError(name)
    return str(found[0])


def claim_attention(lens: Lens, claim: ClaimFields) -> Attention:
    """The attention of the kind that a claim names."""
    return claim_trace(lens, claim).attentions[claim["kind"]]


def token_position(tokens: Tokens, token: str | int) -> int:
    """The position of a token: a number as it is, or the first token with a text.

    Raises:
        KeyError: no token has this text.
    """
    if isinstance(token, int):
        return token
    if token not in tokens.texts:
        raise KeyError(f"{token!r} is not among {tokens.texts}")
    return tokens.texts.index(token)


def claim_row(lens: Lens, claim: ClaimFields) -> tuple[Attention, Array]:
    """The attention of a claim, and the weights of its `query` in its layer and head. [key]"""
    attention = claim_attention(lens, claim)
    query = token_position(attention.queries, claim["query"])
    return attention, attention.weights(claim["layer"])[claim["head"], query]
