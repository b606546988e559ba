"""The logit lens (nostalgebraist 2020): the next token that each layer predicts through the output head."""

from __future__ import annotations

from typing import Any

import torch

from model.arrays.types import Array
from model.trace.edits import Edits
from model.trace.trace import Target


def logit_lens(lens: Any, text: Any, target: Target = None, edits: Edits | None = None) -> tuple[Array, Array] | None:
    """The most probable token after each layer, and its probability.

    Args:
        lens: a model of this process, with `layer_logits`.
        text, target, edits: as in `lens.trace`.

    Returns:
        int64 ids and float32 probabilities, both [layer + 1, token], row 0 for the embeddings; None where the model
        has no output head.
    """
    slices = lens.layer_logits(text, target, edits)
    if slices is None:
        return None
    # Of a long text and a large vocabulary, all layers' logits at once would take gigabytes.
    best = [logits.softmax(-1).max(-1) for logits in slices]
    ids, chances = (torch.cat([getattr(one, name) for one in best]) for name in ("indices", "values"))
    return ids.cpu().numpy(), chances.cpu().numpy()
