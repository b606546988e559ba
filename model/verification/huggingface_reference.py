"""A trace of a Hugging Face model against a run of the library's own eager attention: same weights, same tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from model.arrays.torch_to_numpy import to_numpy
from model.trace.attention import Attention
from model.trace.check import Check
from model.verification.tolerances import limits

LOGIT_CHUNK = 128  # tokens whose logits are compared at once
ShowLayer = Callable[[str, int, Tensor], None]  # is shown kind, layer and weights [batch, head, query, key]


class Comparison:
    """The weights of one sentence of a batch against the library's own, layer by layer and head by head.

    Args:
        real: how many tokens of each stack are real: what padding computes means nothing.
        sinks: True where rows may add up to less than 1.
    """

    def __init__(self, attentions: dict[str, Attention], row: int, real: dict[str, int], sinks: bool) -> None:
        self._attentions, self._row, self._real, self._sinks = attentions, row, real, sinks
        self._left = {(kind, layer) for kind, found in attentions.items() for layer in range(found.num_layers)}
        self._errors: list[tuple[float, float, float]] = []

    def look(self, kind: str, layer: int, theirs: Tensor) -> None:
        """Compare a layer; theirs: [batch, head, query, key]."""
        found = self._attentions[kind]
        real = slice(self._real["encoder" if kind == "encoder" else "decoder"])
        forbidden = ~found.mask(layer)[real]
        for ours, expected in zip(found.weights(layer)[:, real], to_numpy(theirs[self._row])[:, real], strict=True):
            excess = ours.sum(-1) - 1
            self._errors.append(
                (
                    float(abs(ours - expected).max()),
                    float(abs(excess.clip(0) if self._sinks else excess).max()),
                    float((ours * forbidden).max()),
                )
            )
        self._left.discard((kind, layer))

    def largest(self) -> tuple[float, float, float]:
        """Of the weights' differences, of the rows' sums from 1, and of the weights on masked positions.

        Raises:
            ValueError: the library's own attention did not show every layer.
        """
        if self._left:
            raise ValueError(f"The stock run showed no weights of {sorted(self._left)}.")
        weights, sums, leaked = np.max(self._errors, axis=0).tolist()  # NumPy's maximum keeps a NaN, Python's loses it
        return weights, sums, leaked


def verify(
    run_eager: Callable[[ShowLayer], Any],
    attentions: dict[str, Attention],
    answer: Tensor,
    row: int,
    lengths: dict[str, int],
    *,
    sinks: bool,
    independent: bool,
) -> Check:
    """The largest differences between one sentence of a batch and the library's own run of it.

    Args:
        run_eager: runs the library's own code, shows each layer's weights, and returns the library's output object.
        answer: our logits, or our last hidden states where the model has no head. [batch, token, ...]
        lengths: stack -> number of real tokens, as padding computes nothing that means anything; the stack that
            answers comes last.
        sinks: True where rows may sum to less than 1.
        independent: False where both runs are the same code, as in families that show their weights only.
    """
    comparison = Comparison(attentions, row, lengths, sinks)
    result = run_eager(comparison.look)
    weight_error, sum_error, leaked = comparison.largest()
    logits = getattr(result, "logits", None)
    ours = answer[row][: lengths[next(reversed(lengths))]]
    theirs = (result.last_hidden_state if logits is None else logits)[row].reshape(answer[row].shape)[: len(ours)]
    # In parts: of a long text and a large vocabulary, the differences would take as much memory as the logits.
    parts = zip(ours.split(LOGIT_CHUNK), theirs.split(LOGIT_CHUNK), strict=True)
    seen = "transformers' own eager attention with the same weights, run on the same tokens"
    again = "a second run of the family's own code, which shows its weights only: equal runs, not an independent proof"
    weight_limit, answer_limit = limits(answer.dtype, answer)
    return Check(
        max_weight_error=weight_error,
        max_row_sum_error=sum_error,
        leaked_mass=leaked,
        max_logit_error=float(torch.stack([(one - other).abs().max() for one, other in parts]).max()),
        tolerance=weight_limit,
        logit_tolerance=answer_limit,
        how=seen if independent else again,
    )
