"""Readable labels of the tokens of a from-scratch model, computed on demand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel
from torch import Tensor

from model.arrays.types import Array
from model.tokenization.labels import label_ids, label_pieces
from model.trace.tokens import Tokens
from model.translator.transformer import Config


def label_tokens(tokenizer: Tokenizer, config: Config, ids: Tensor | Array) -> Tokens:
    """Readable labels of some ids, computed on first access.

    Args:
        ids: int64 [token]
    """

    special = [config.pad, config.bos, config.eos]
    if isinstance(tokenizer.decoder, ByteLevel):
        return label_ids(_AsLibrary(tokenizer, special), ids.tolist())

    def make_labels() -> Tokens:
        numbers: list[int] = ids.tolist()
        raw = [str(tokenizer.id_to_token(i)) for i in numbers]
        return label_pieces(raw, [i in special for i in numbers])

    return Tokens.lazy(len(ids), make_labels)


@dataclass(frozen=True, eq=False)
class _AsLibrary:
    """A tokenizer under the names that `model.tokenization.labels.label_ids` asks a Hugging Face tokenizer by."""

    backend_tokenizer: Tokenizer
    all_special_ids: Sequence[int]

    def convert_ids_to_tokens(self, ids: Sequence[int]) -> list[str | None]:
        return [self.backend_tokenizer.id_to_token(i) for i in ids]

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        return str(self.backend_tokenizer.decoder.decode(tokens))


def predicted_label(tokenizer: Tokenizer, config: Config, logits: Array, position: int) -> str:
    """Label of the most probable token at a position, as it reads after the most probable one before it.

    A part of a character reads alone: what is most probable before it need not be the character's other part.

    Args:
        logits: [token, vocab]
    """
    before = 0 if isinstance(tokenizer.decoder, ByteLevel) else 1
    return label_tokens(tokenizer, config, logits[max(position - before, 0) : position + 1].argmax(-1)).texts[-1]


class TranslatorVocabulary:
    """What ids stand for, read one by one; a `model.verification.words.Vocabulary`."""

    forced = 0
    never_first: Sequence[int] = ()

    def __init__(self, tokenizer: Tokenizer, config: Config) -> None:
        self._tokenizer, self._config = tokenizer, config
        self._unknown = str(tokenizer.id_to_token(config.unk))
        self._bytes = isinstance(tokenizer.decoder, ByteLevel)
        self.never = (config.pad, config.bos, config.unk)

    def pieces(self, ids: Sequence[int]) -> list[str]:
        return [str(self._tokenizer.id_to_token(i)) for i in ids]

    def spelled(self, piece: str) -> str | None:
        if self._bytes:  # a part of a character stands for no text
            text = str(self._tokenizer.decoder.decode([piece]))
            return None if "\ufffd" in text else text
        return None if piece == self._unknown else piece.replace("▁", " ")

    def text(self, ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(ids)))

    def next_word(self, before: Sequence[int], next_id: int) -> str:
        if self._bytes:
            return label_tokens(self._tokenizer, self._config, np.array([next_id])).texts[0]
        return label_pieces(self.pieces([next_id]), [False]).texts[0]
