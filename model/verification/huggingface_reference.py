"""Verification of a Hugging Face trace against the library's own eager attention: same weights, same tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from model.arrays.torch_to_numpy import to_numpy
from model.attention.record import WeightsCallback
from model.trace.attention import Attention
from model.trace.check import Check
from model.verification.tolerances import error_limits

LOGIT_CHUNK = 128  # tokens whose logits are compared at once


class WeightComparison:
    """Errors of one sentence's attention weights against the library's own, collected layer by layer.

    Args:
        attentions: kind -> the trace's attention.
        row: index of the sentence in the batch.
        lengths: stack -> number of tokens without padding, whose numbers mean nothing.
        sinks: True where rows may sum to less than 1.
    """

    def __init__(self, attentions: dict[str, Attention], row: int, lengths: dict[str, int], sinks: bool) -> None:
        self._attentions, self._row, self._lengths, self._sinks = attentions, row, lengths, sinks
        self._missing = {(kind, layer) for kind, one in attentions.items() for layer in range(one.num_layers)}
        self._errors: list[tuple[float, float, float]] = []

    def add_layer(self, kind: str, layer: int, expected: Tensor) -> None:
        """Compare a layer's weights with the library's, `expected` [batch, head, query, key]."""
        attention = self._attentions[kind]
        queries = slice(self._lengths["encoder" if kind == "encoder" else "decoder"])
        forbidden = ~attention.mask(layer)[queries]
        expected_heads = to_numpy(expected[self._row])[:, queries]
        for weights, expected_head in zip(attention.weights(layer)[:, queries], expected_heads, strict=True):
            excess = weights.sum(-1) - 1
            self._errors.append(
                (
                    float(abs(weights - expected_head).max()),
                    float(abs(excess.clip(0) if self._sinks else excess).max()),
                    float((weights * forbidden).max()),
                )
            )
        self._missing.discard((kind, layer))

    def largest_errors(self) -> tuple[float, float, float]:
        """Largest difference of a weight, of a row's sum from 1, and largest weight on a masked position.

        Raises:
            ValueError: the library returned no weights of some layer.
        """
        if self._missing:
            raise ValueError(f"The stock run showed no weights of {sorted(self._missing)}.")
        weights, sums, leaked = np.max(self._errors, axis=0).tolist()  # NumPy's maximum keeps a NaN, Python's loses it
        return weights, sums, leaked


def verify(
    run_eager: Callable[[WeightsCallback], Any],
    attentions: dict[str, Attention],
    answer: Tensor,
    row: int,
    lengths: dict[str, int],
    *,
    read_answer: Callable[[Any], Tensor],
    sinks: bool,
    independent: bool,
) -> Check:
    """Largest differences between one sentence of a traced batch and the library's own run of it.

    Args:
        run_eager: runs the library's own code, passes each layer's weights to a callback, and returns the library's
            output object.
        attentions: kind -> the trace's attention.
        answer: the trace's logits, or its last hidden states where the model has no output head. [batch, token, ...]
        row: index of the sentence in the batch.
        lengths: stack -> number of tokens without padding; the stack whose states give the logits comes last.
        sinks: True where rows may sum to less than 1.
        independent: False where both runs are the same code, as in families that return only their weights.

    Raises:
        ValueError: the library returned no weights of some layer.
    """
    comparison = WeightComparison(attentions, row, lengths, sinks)
    result = run_eager(comparison.add_layer)
    weight_error, sum_error, leaked = comparison.largest_errors()
    ours = answer[row][: lengths[next(reversed(lengths))]]
    expected = read_answer(result)[row].reshape(answer[row].shape)[: len(ours)]
    # In chunks: for a long text and a large vocabulary, the differences would take as much memory as the logits.
    chunks = zip(ours.split(LOGIT_CHUNK), expected.split(LOGIT_CHUNK), strict=True)
    reference = "transformers' own eager attention with the same weights, run on the same tokens"
    repetition = (
        "a second run of the family's own code, which shows its weights only: equal runs, not an independent proof"
    )
    weight_limit, answer_limit = error_limits(answer.dtype, answer)
    return Check(
        max_weight_error=weight_error,
        max_row_sum_error=sum_error,
        leaked_mass=leaked,
        max_logit_error=float(torch.stack([(one - other).abs().max() for one, other in chunks]).max()),
        tolerance=weight_limit,
        logit_tolerance=answer_limit,
        how=reference if independent else repetition,
    )
