"""A Hugging Face model's own attention, to check ours against: same weights, same tokens, the library's eager code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from model.arrays import to_numpy
from model.device import limits
from model.editing import Plan, editing
from model.interface import STOCK, showing
from model.projections import shallow_copy
from model.trace import Attention, Check

if TYPE_CHECKING:
    from model.huggingface import HuggingFace

PART = 128  # tokens whose logits are compared at once


def stock_attentions(result: Any, single: str | None) -> dict[str, Sequence[Tensor]]:
    """Kind -> weights of each layer [batch, head, query, key], as the library gives them.

    Args:
        single: what a single stack is called here; None in an encoder-decoder model.

    Raises:
        ValueError: the model gives no weights.
    """
    names = {"encoder": "encoder_attentions", "decoder": "decoder_attentions", "cross": "cross_attentions"}
    names = names if single is None else {single: "attentions"}
    found = {kind: getattr(result, name) for kind, name in names.items()}
    if any(weights is None or any(layer is None for layer in weights) for weights in found.values()):
        raise ValueError(f"{type(result).__name__} holds no attention weights.")
    return found


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
    lens: HuggingFace,
    inputs: dict[str, Tensor],
    attentions: dict[str, Attention],
    answer: Tensor,
    row: int,
    lengths: dict[str, int],
    plan: Plan | None,
) -> Check:
    """Compare one sentence of a batch with a run of the library's own code.

    Args:
        inputs: what the module was fed; answer: its logits, or its last states where it has none.
        lengths: how many tokens of each stack are real: what padding computes means nothing.
        plan: the edits; the library's own attention gets them as masks, scales and factors.
    """
    stock = shallow_copy(lens.module)
    comparison = Comparison(attentions, row, lengths, lens.has_sinks)
    with torch.inference_mode(), editing(plan):
        if lens.sees_inside:
            stock.set_attn_implementation(STOCK)
            with showing(comparison.look):
                result = lens.run(stock, inputs, eager=False)
        else:
            stock.set_attn_implementation("eager")
            result = lens.run(stock, inputs, eager=True)
            for kind, layers in stock_attentions(result, None if lens.is_pair else lens.single).items():
                for layer, theirs in enumerate(layers):
                    comparison.look(kind, layer, theirs)
    weight_error, sum_error, leaked = comparison.largest()
    logits = getattr(result, "logits", None)
    ours = answer[row][: lengths[next(reversed(lengths))]]
    theirs = (result.last_hidden_state if logits is None else logits)[row].reshape(answer[row].shape)[: len(ours)]
    # In parts: of a long text and a large vocabulary, the differences would take as much memory as the logits.
    parts = zip(ours.split(PART), theirs.split(PART), strict=True)
    seen = "transformers' own eager attention with the same weights, run on the same tokens"
    again = "a second run of the family's own code, which shows its weights only: equal runs, not an independent proof"
    weight_limit, answer_limit = limits(lens.module.dtype, answer)
    return Check(
        max_weight_error=weight_error,
        max_row_sum_error=sum_error,
        leaked_mass=leaked,
        max_logit_error=float(torch.stack([(one - other).abs().max() for one, other in parts]).max()),
        tolerance=weight_limit,
        logit_tolerance=answer_limit,
        how=seen if lens.sees_inside else again,
    )
