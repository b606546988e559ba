"""Labels of the translator's tokens, made when they are looked at."""

from __future__ import annotations

from tokenizers import Tokenizer
from torch import Tensor

from model.arrays.types import Array
from model.tokenization.labels import readable
from model.trace.tokens import Tokens
from model.translator.transformer import Config


def label_tokens(tokenizer: Tokenizer, config: Config, ids: Tensor | Array) -> Tokens:
    """Ids as people read them, named when they are looked at."""

    def name() -> Tokens:
        numbers: list[int] = ids.tolist()
        raw = [str(tokenizer.id_to_token(i)) for i in numbers]
        special = {config.pad, config.bos, config.eos}
        return readable(raw, [i in special for i in numbers])

    return Tokens.later(len(ids), name)


def predicted_label(tokenizer: Tokenizer, config: Config, logits: Array, place: int) -> str:
    """The label of the likeliest token at a place, behind the likeliest before it. logits: [token, vocab]"""
    return label_tokens(tokenizer, config, logits[max(place - 1, 0) : place + 1].argmax(-1)).texts[-1]
