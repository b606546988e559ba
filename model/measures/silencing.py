"""What a change does to what the model says: probabilities, divergence, and which heads matter for one sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from model.arrays.types import Array
from model.trace.edits import Edits, Head
from model.trace.trace import Target

CELLS = 40_000_000  # numbers that a batch of runs may put out at once
PART = 256  # tokens whose distributions are compared at once


def head_effects(
    lens: Any,
    text: Any,
    target: Target = None,
    edits: Edits | None = None,
    progress: Callable[[float], None] = lambda share: None,
) -> tuple[dict[str, Array], bool]:
    """How far what the model says moves when each head is silenced, one at a time, many in one batch.

    Args:
        lens: a model of this process, with `heads` and `outputs`.
        text: or a picture, where the model reads pictures.
        progress: is told the share done; what it raises ends the work.

    Returns:
        kind -> [layer, head]: the mean over the tokens of the KL divergence in bits from the undisturbed distribution
        of the next (or masked) token, and True. Where a model chooses no words: the mean cosine distance of the last
        states, and False.
    """
    plain, are_logits = lens.outputs(text, target, edits)
    heads = [
        (kind, at, h) for kind, (layers, count) in lens.heads.items() for at in range(layers) for h in range(count)
    ]
    effects = {kind: np.zeros(shape) for kind, shape in lens.heads.items()}
    size = int(min(max(CELLS // plain[0].numel(), 1), 24))
    for start, some in zip(range(0, len(heads), size), _chunks(heads, size), strict=True):
        moved, _ = lens.outputs(text, target, edits, some)
        # In parts: of a long text and a large vocabulary, what is computed on the way takes as much several times.
        parts = zip(plain.split(PART, 1), moved.split(PART, 1), strict=True)
        changes = torch.cat([(divergence_bits if are_logits else _turned)(one, other) for one, other in parts], -1)
        for (kind, layer, head), change in zip(some, changes.mean(-1).tolist(), strict=True):
            effects[kind][layer, head] = change
        progress(min((start + size) / len(heads), 1.0))
    return effects, are_logits


def divergence_bits(before: Tensor, after: Tensor) -> Tensor:
    """KL divergence of the distributions that two sets of logits stand for, in bits. [..., vocab] -> [...]"""
    p, q = before.float().log_softmax(-1), after.float().log_softmax(-1)
    return (p.exp() * (p - q)).sum(-1).clamp(min=0) / np.log(2)


def _turned(before: Tensor, after: Tensor) -> Tensor:
    return 1 - torch.cosine_similarity(before.float(), after.float(), dim=-1)


def _chunks(heads: list[tuple[str, int, int]], size: int) -> Iterator[list[Head]]:
    left = iter(heads)
    while some := list(islice(left, size)):
        yield list(some)
