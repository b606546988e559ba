"""Greedy generation with the from-scratch transformer."""

from __future__ import annotations

import torch
from torch import Tensor

from model.attention.edit_plan import current_edit_plan
from model.translator.transformer import Config, KeyValueCache, Transformer
from model.turns import rest


def longest_output(config: Config, source: int) -> int:
    """Tokens of the longest output for a source of so many: what the model's configuration says, or twice and ten."""
    return min(config.longest_output or 2 * source + 10, config.max_tokens - 1)


@torch.inference_mode()
def decode_greedily(module: Transformer, source: Tensor) -> list[list[int]]:
    """Ids of greedy translations, without bos and eos, one list a sentence.

    Each ends at eos, or at the longest output.

    Args:
        module: in evaluation mode; source: int64 [batch, s], padded.
    """
    config = module.config
    hidden, mask = module.encode(source)
    target = torch.full((source.shape[0], 1), config.bos, device=source.device)
    ended = torch.zeros(source.shape[0], dtype=torch.bool, device=source.device)
    # Edits name positions in the whole text, so with edits every step runs the whole text.
    cache = None if current_edit_plan() else KeyValueCache()
    for _ in range(longest_output(config, source.shape[1])):
        rest()  # a step is a slice: who waits for the model need not wait for the whole text
        decoded = module.decode(target, hidden[-1], mask, cache)[-1]
        logits = module.project(decoded[:, -1])  # [batch, vocab]
        logits[:, [config.pad, config.bos, config.unk]] = -torch.inf
        step = logits.argmax(-1).masked_fill(ended, config.pad)
        ended |= step == config.eos
        if ended.all():
            break
        target = torch.cat([target, step[:, None]], dim=1)
    return [[i for i in row if i not in (config.pad, config.eos)] for row in target[:, 1:].tolist()]
