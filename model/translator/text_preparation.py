"""A text as the translator's tokenizer gets it."""

from __future__ import annotations

import re


def prepared(text: str) -> str:
    """A text as the tokenizer gets it: calmed, and with room behind an opening quote or bracket.

    A word right behind a quote would be cut into pieces, because only what follows a space counts as a word's start.
    """
    return re.sub(r"(?<!\w)([\"'(\[\u2018\u201c\u201e\u00ab])(?=\w)", r"\1 ", calmed(text))


def calmed(text: str) -> str:
    """A text typed in capitals only, in lower case with a capital at the start; any other text as it is.

    The training sentences hold next to no words in capitals.
    """
    if text.isupper() and sum(c.isupper() for c in text) > 3 and len(text.split()) > 1:
        calm = re.sub(r"\bi\b", "I", text.lower())
        return re.sub(r"(?:^|[.!?]\s)\s*\w", lambda start: start[0].upper(), calm)
    return text
