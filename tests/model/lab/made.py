"""A made model of known heads: 0 looks at the previous token, 1 everywhere alike, 2 at the first token."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from model.errors import InputError
from model.trace.attention import Attention
from model.trace.tokens import Tokens
from tests.model.measures.test_measures import Fixed

PREVIOUS, EVEN, FIRST = range(3)


class MadeLens:
    """Reads words; counts its passes and how many traces of it are alive at once."""

    takes = "text"
    max_tokens = 300
    writes = is_encoder_decoder = False
    heads: dict[str, Any] = {}  # noqa: RUF012  (none of them can be silenced)
    layer_index: dict[str, Any] = {}  # noqa: RUF012

    def __init__(self, noise: float = 0.0) -> None:
        self.noise, self.passes, self.edits = noise, 0, []

    def trace(self, text: str, target: Any = None, edits: Any = None) -> Any:
        words = text.split()
        if "bad" in words:
            raise InputError("text_too_long", "Your text has too many tokens.")
        self.passes += 1
        self.edits.append(edits)
        size = len(words)
        even = np.full((size, size), 1 / size)
        previous = np.eye(size, k=-1)
        previous[0, 0] = 1
        first = np.zeros((size, size))
        first[:, 0] = 1
        share = self.noise * (self.passes % 5) / 4  # another one in each sentence
        maps = [(1 - share) * previous + share * even, even, first]
        tokens = Tokens(tuple(words), (False,) * size, raw=tuple(words))
        layer = Fixed(np.stack(maps).astype(np.float32) + 1e-9)
        ids = {"encoder": tuple(sum(map(ord, word)) for word in words)}
        attention = Attention("encoder", tokens, tokens, 3, 1, (layer,))
        return SimpleNamespace(
            text=text,
            attentions={"encoder": attention},
            ids=ids,
            tokens={"encoder": tokens},
            logits=None,
            prompt_length=0,
        )
