"""Normalization of a text before the translator's tokenizer, and notes on what it changed."""

from __future__ import annotations

import re

from tokenizers import Encoding

from model.translator.transformer import Config


def prepare_text(text: str) -> str:
    """A text as the tokenizer reads it: capitals normalized, and a space after an opening quote or bracket.

    Only what follows a space counts as the start of a word, so a word right after a quote would be cut into pieces.
    """
    return re.sub(r"(?<!\w)([\"'(\[\u2018\u201c\u201e\u00ab])(?=\w)", r"\1 ", normalize_capitals(text))


def normalize_capitals(text: str) -> str:
    """A text of capitals only in sentence case; any other text unchanged.

    The training sentences hold next to no words in capitals.
    """
    if text.isupper() and sum(c.isupper() for c in text) > 3 and len(text.split()) > 1:
        lower = re.sub(r"\bi\b", "I", text.lower())
        return re.sub(r"(?:^|[.!?]\s)\s*\w", lambda start: start[0].upper(), lower)
    return text


def text_notes(text: str, encoding: Encoding, config: Config) -> tuple[tuple[str, str], ...]:
    """Notes (id, detail) on a text: changed capitals, great length, unknown characters.

    Args:
        encoding: tokens of the prepared text; config: the model's, for what is usual in its training data.
    """
    normalized = normalize_capitals(text)
    notes = [("calmed", normalized)] if normalized != text else []
    spans = zip(encoding.ids, encoding.offsets, strict=True) if config.unk in encoding.ids else ()
    unknown = [prepare_text(text)[slice(*span)] for i, span in spans if i == config.unk]
    if len(encoding.ids) > config.usual_tokens:
        notes.append(("long", str(len(encoding.ids) + 1)))  # with </s>, as the page counts them
    if unknown:
        notes.append(("unknown", " ".join(dict.fromkeys(unknown))))
    return tuple(notes)
