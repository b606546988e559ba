"""What a Hugging Face model finds likely next, after any prefix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from transformers.modeling_outputs import BaseModelOutput

from model.attention.edit_plan import EditPlan, editing
from model.generation.decoding import Decoded, Decoding
from model.generation.search import Scores, decode
from model.huggingface.attention_interface import naming_calls
from model.huggingface.opened_model import OpenedModel


def write(
    lens: OpenedModel, ids: Sequence[int], how: Decoding, plan: EditPlan | None, begun: Any | None = None
) -> Decoded:
    """Write what follows these ids, or the output that an encoder-decoder model gives for them.

    Args:
        begun: what the model made of just these ids, with the keys and values it kept, where that is there already.
    """
    start = [lens.start] if lens.is_pair else list(ids)
    room = lens.max_tokens - len(start)
    if room < 1:
        return Decoded((), ended=False)
    how = replace(how, longest=min(how.longest, room))
    settings = lens.module.generation_config
    ends = ({*settings.eos_token_id} if isinstance(settings.eos_token_id, list) else {settings.eos_token_id}) - {None}
    # What the model's own settings forbid, as for Marian its padding.
    never = {*(settings.suppress_tokens or ()), *(one[0] for one in settings.bad_words_ids or () if len(one) == 1)}
    cached = lens.sees_inside and plan is None and how.method != "beam"
    return decode(next_scores(lens, ids, plan, cached, begun if cached else None), start, ends, never, how)


def next_scores(
    lens: OpenedModel, source: Sequence[int], plan: EditPlan | None, cached: bool, begun: Any | None = None
) -> Scores:
    """A function from prefixes to the logits of their next token.

    Args:
        source: what an encoder-decoder model's encoder reads, once.
        cached: keep the keys and values of one growing prefix, so that each step computes its last token only.
        begun: the pass over the first prefix, if it was made already.
    """
    encoder = lens.module.get_encoder() if lens.is_pair else None
    kept, known, memory = None, 0, None

    def scores(prefixes: Sequence[Sequence[int]]) -> Tensor:
        nonlocal kept, known, memory
        if begun is not None and kept is None:
            kept, known = begun.past_key_values, len(prefixes[0])
            return torch.clone(begun.logits[:, -1])  # who decodes writes into it
        fed = torch.tensor(prefixes, device=lens.device)[:, known:]
        with naming_calls(encoder, lens.single), editing(plan):
            inputs: dict[str, Any] = {"input_ids": fed}
            if encoder is not None:
                if memory is None:
                    memory = encoder(torch.tensor([source], device=lens.device), return_dict=True).last_hidden_state
                inputs = {
                    "encoder_outputs": BaseModelOutput(memory.expand(len(fed), -1, -1)),
                    "decoder_input_ids": fed,
                }
            result = lens.module(**inputs, past_key_values=kept, use_cache=cached, return_dict=True)
        if cached:
            kept, known = result.past_key_values, known + fed.shape[1]
        logits: Tensor = result.logits[:, -1]
        return logits

    return scores


def pad(lens: OpenedModel, rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Ids padded at the end, and a mask with 1 for what is real. [text, token] each"""
    longest = max(map(len, rows))
    filling = lens.tokenizer.pad_token_id or 0
    padded = [[*row, *[filling] * (longest - len(row))] for row in rows]
    real = [[1] * len(row) + [0] * (longest - len(row)) for row in rows]
    return torch.tensor(padded, device=lens.device), torch.tensor(real, device=lens.device)
