"""Languages of multilingual translation models: codes, their tokens, and where the one to write is read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

CODE = re.compile(r"[a-z]{2,3}_[A-Z][A-Za-z]+|__[a-z]{2,3}(_[A-Za-z]+)?__")  # "en_XX", "fra_Latn", "__fra__" (Seamless)


@dataclass(frozen=True)
class Languages:
    """The languages that a tokenizer has tokens for.

    Attributes:
        ids: code -> id of its token.
        source: code of the language that texts are in by default; None where the model is not told it.
        target: code of the language that is written by default; None where nothing says one.
        place: where the token of the language to write stands: "forced" as the first token of the output, "start" in
            place of the decoder's start, "prefix" before the text.
    """

    ids: Mapping[str, int]
    source: str | None
    target: str | None
    place: str


def find_languages(tokenizer: Any, decoder_start: int, forced: int | None) -> Languages | None:
    """The languages of a tokenizer; None where it has none to choose.

    Args:
        decoder_start: id that the decoder is fed first; forced: id that the model's settings force as first output.
    """
    prefixes = getattr(tokenizer, "supported_language_codes", None)  # Marian: ">>fra<<"
    if prefixes:
        ids = {str(one)[2:-2]: tokenizer.convert_tokens_to_ids(one) for one in prefixes}
        return Languages(ids, None, None, "prefix")
    if not isinstance(getattr(tokenizer, "src_lang", None), str):
        return None
    tokens = getattr(tokenizer, "lang_code_to_token", None) or {
        str(one): str(one) for one in getattr(tokenizer, "lang_code_to_id", None) or _codes(tokenizer)
    }
    known = {code: tokenizer.convert_tokens_to_ids(token) for code, token in tokens.items()}
    ids = {code: i for code, i in sorted(known.items()) if isinstance(i, int) and i != tokenizer.unk_token_id}
    if len(ids) < 2:
        return None
    codes = {i: code for code, i in ids.items()}
    target = codes.get(forced if forced is not None else decoder_start) or getattr(tokenizer, "tgt_lang", None)
    place = "start" if decoder_start in codes else "forced"
    return Languages(ids, tokenizer.src_lang, target if target in ids else None, place)


def _codes(tokenizer: Any) -> list[str]:
    """The special tokens of a tokenizer that look like language codes."""
    return [token for token in tokenizer.all_special_tokens if CODE.fullmatch(token)]


@contextmanager
def reading_language(tokenizer: Any, code: str | None) -> Iterator[None]:
    """A context in which a tokenizer marks texts as being in a language; the caller holds `tokenizer_lock`."""
    before = getattr(tokenizer, "src_lang", None)
    if code is None or code == before:
        yield
        return
    tokenizer.src_lang = code
    try:
        yield
    finally:
        tokenizer.src_lang = before
