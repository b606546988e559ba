"""Effects of silencing heads: how much the model's output changes without each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from model.arrays.types import Array
from model.measures.probabilities_torch import kl_divergence_bits
from model.trace.edits import Edits, Head
from model.trace.trace import Target
from model.turns import rest

MAX_BATCH_CELLS = 40_000_000  # logits that a batch of passes may compute at once
MAX_BATCH = 24
MAX_BATCH_TOKENS = 400  # of a batch, so that it takes less than a second: others who wait for the model go in between
TOKENS_PER_CHUNK = 256  # tokens whose distributions are compared at once


def head_effects(
    lens: Any,
    text: Any,
    target: Target = None,
    edits: Edits | None = None,
    progress: Callable[[float], None] = lambda share: None,
) -> tuple[dict[str, Array], bool]:
    """Effect on the model's output of silencing each head, one at a time, many in one batch.

    Args:
        lens: a model of this process, with `heads` and `outputs`.
        text, target, edits: as in `lens.trace`; the edits stay in place in every pass.
        progress: is called with the share done, from 0 to 1; what it raises ends the computation.

    Returns:
        kind -> float64 [layer, head]: mean over the tokens of the Kullback-Leibler divergence, in bits, from the
        next-token (or masked-token) distribution without silencing, and True. For a model without an output head: the
        mean cosine distance of the last hidden states, and False.
    """
    baseline, are_logits = lens.outputs(text, target, edits)
    heads = [
        (kind, at, h) for kind, (layers, count) in lens.heads.items() for at in range(layers) for h in range(count)
    ]
    effects = {kind: np.zeros(shape) for kind, shape in lens.heads.items()}
    difference = kl_divergence_bits if are_logits else _cosine_distance
    fitting = min(MAX_BATCH_CELLS // baseline[0].numel(), MAX_BATCH_TOKENS // baseline.shape[1], MAX_BATCH)
    size = max(fitting, 1)
    for start, batch in zip(range(0, len(heads), size), _batches(heads, size), strict=True):
        silenced, _ = lens.outputs(text, target, edits, batch)
        # In chunks: for a long text and a large vocabulary, intermediate results take several times the output.
        chunks = zip(baseline.split(TOKENS_PER_CHUNK, 1), silenced.split(TOKENS_PER_CHUNK, 1), strict=True)
        differences = torch.cat([difference(one, other) for one, other in chunks], -1)
        for (kind, layer, head), effect in zip(batch, differences.mean(-1).tolist(), strict=True):
            effects[kind][layer, head] = effect
        progress(min((start + size) / len(heads), 1.0))
        rest(everyone=True)
    return effects, are_logits


def _cosine_distance(before: Tensor, after: Tensor) -> Tensor:
    """1 - cosine similarity of hidden states. [..., d_model] -> [...]"""
    return 1 - torch.cosine_similarity(before.float(), after.float(), dim=-1)


def _batches(heads: list[tuple[str, int, int]], size: int) -> Iterator[list[Head]]:
    """The heads in lists of at most `size`."""
    left = iter(heads)
    while batch := list(islice(left, size)):
        yield list(batch)
