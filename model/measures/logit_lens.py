"""The logit lens (nostalgebraist 2020): what each layer would predict if the output head came right behind it."""

from __future__ import annotations

from typing import Any

from model.arrays.types import Array
from model.trace.edits import Edits
from model.trace.trace import Target


def layer_words(lens: Any, text: Any, target: Target = None, edits: Edits | None = None) -> tuple[Array, Array] | None:
    """Each layer's likeliest token, by the logit lens, and its probability.

    Returns:
        ids [layer + 1, token] and probabilities, as many; None where the model has no output head.
    """
    logits = lens.layer_logits(text, target, edits)
    if logits is None:
        return None
    best = logits.softmax(-1).max(-1)
    return best.indices.cpu().numpy(), best.values.cpu().numpy()
