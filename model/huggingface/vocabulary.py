"""What the ids of a Hugging Face tokenizer stand for, read one by one, to check labels and outputs with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from model.tokenization.labels import REPLACEMENT, label_ids, tokenizer_lock


@dataclass(frozen=True, eq=False)
class TokenizerVocabulary:
    """A `model.verification.words.Vocabulary`.

    Attributes:
        never: ids that the model's settings forbid; never_first: those that they forbid at the beginning.
        forced: how many of the first ids of an output they write.
    """

    tokenizer: Any
    never: Sequence[int]
    forced: int
    never_first: Sequence[int] = ()

    def pieces(self, ids: Sequence[int]) -> list[str]:
        with tokenizer_lock:
            return [str(one or "") for one in self.tokenizer.convert_ids_to_tokens(list(ids))]

    def spelled(self, piece: str) -> str | None:
        if not piece or piece == self.tokenizer.unk_token:
            return None
        with tokenizer_lock:
            if piece in self.tokenizer.all_special_tokens:
                return piece
            text = str(self.tokenizer.convert_tokens_to_string([piece]))
        return None if REPLACEMENT in text else text

    def text(self, ids: Sequence[int]) -> str:
        with tokenizer_lock:
            return str(self.tokenizer.decode(list(ids), skip_special_tokens=True))

    def next_word(self, before: Sequence[int], next_id: int) -> str:
        return label_ids(self.tokenizer, [*before[-5:], next_id]).texts[-1]


def forbidden_ids(settings: Any, size: int) -> tuple[list[int], list[int]]:
    """The ids that a model never writes, such as Marian's padding, and those that it does not begin an output with.

    Args:
        settings: how it generates; size: of its vocabulary, which settings of another model may go beyond.
    """
    words = getattr(settings, "bad_words_ids", None) or ()
    never = {*(getattr(settings, "suppress_tokens", None) or ()), *(one[0] for one in words if len(one) == 1)}
    first = getattr(settings, "begin_suppress_tokens", None) or ()
    return [i for i in sorted(never) if 0 <= i < size], [i for i in first if 0 <= i < size]


def vocabulary(tokenizer: Any, settings: Any, size: int, *, forced: bool) -> TokenizerVocabulary:
    """The vocabulary of a model. settings, size: as for `forbidden_ids`; forced: whether they set an output's first"""
    never, never_first = forbidden_ids(settings, size)
    return TokenizerVocabulary(tokenizer, never, int(forced), never_first)
