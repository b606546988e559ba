"""A Hugging Face model's own attention, to check ours against: same weights, same tokens, the library's eager code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from model.attention import to_numpy
from model.editing import Plan, editing
from model.interface import STOCK
from model.projections import shallow_copy
from model.trace import Attention, Check

if TYPE_CHECKING:
    from model.huggingface import HuggingFace

TOLERANCE = 1e-4  # float32; logits of larger models reach a few dozen


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
    stock.set_attn_implementation("eager" if plan is None else STOCK)
    with torch.inference_mode(), editing(plan):
        result = lens.run(stock, inputs, eager=True)
    expected = stock_attentions(result, None if lens.is_pair else lens.single)
    weight_error, sum_error, leaked = [], [], []
    for kind, found in attentions.items():
        for layer in range(found.num_layers):
            real = slice(lengths["encoder" if kind == "encoder" else "decoder"])
            weights, mask = found.weights(layer)[:, real], found.mask(layer)[real]
            weight_error.append(float(abs(weights - to_numpy(expected[kind][layer][row])[:, real]).max()))
            excess = weights.sum(-1) - 1
            sum_error.append(float(abs(excess.clip(0) if lens.has_sinks else excess).max()))
            leaked.append(float((weights * ~mask).max()))
    stock_answer = result.last_hidden_state if getattr(result, "logits", None) is None else result.logits
    seen = "transformers' own eager attention with the same weights, run on the same tokens"
    again = "a second run of the family's own code, which shows its weights only: equal runs, not an independent proof"
    return Check(
        # NumPy's maximum keeps a NaN, Python's loses it.
        max_weight_error=float(np.max(weight_error)),
        max_row_sum_error=float(np.max(sum_error)),
        leaked_mass=float(np.max(leaked)),
        max_logit_error=float((answer[row] - stock_answer[row])[: lengths[next(reversed(lengths))]].abs().max()),
        tolerance=TOLERANCE,
        how=seen if lens.sees_inside else again,
    )
