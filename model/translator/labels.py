"""Readable labels of the translator's tokens, computed on demand."""

from __future__ import annotations

from tokenizers import Tokenizer
from torch import Tensor

from model.arrays.types import Array
from model.tokenization.labels import label_pieces
from model.trace.tokens import Tokens
from model.translator.transformer import Config


def label_tokens(tokenizer: Tokenizer, config: Config, ids: Tensor | Array) -> Tokens:
    """Readable labels of some ids, computed on first access.

    Args:
        ids: int64 [token]
    """

    def make_labels() -> Tokens:
        numbers: list[int] = ids.tolist()
        raw = [str(tokenizer.id_to_token(i)) for i in numbers]
        special = {config.pad, config.bos, config.eos}
        return label_pieces(raw, [i in special for i in numbers])

    return Tokens.lazy(len(ids), make_labels)


def predicted_label(tokenizer: Tokenizer, config: Config, logits: Array, position: int) -> str:
    """Label of the most probable token at a position, as it reads after the most probable one before it.

    Args:
        logits: [token, vocab]
    """
    return label_tokens(tokenizer, config, logits[max(position - 1, 0) : position + 1].argmax(-1)).texts[-1]
