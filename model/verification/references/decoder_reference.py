"""Verification of a from-scratch decoder's trace against PyTorch's own attention function with the same weights."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from model.attention.edit_plan import EditPlan
from model.trace.check import Check, Probe, not_compared
from model.trace.trace import Trace
from model.verification.references.self_attention import feed_forward, layer_norm, self_attention, verdict

HOW = "torch.nn.functional.multi_head_attention_forward with the same weights, run on the same tokens"


@torch.no_grad()
def run_reference(
    ours: Any, ids: Tensor, plan: EditPlan | None = None
) -> tuple[Tensor, dict[tuple[str, int], Tensor], list[Tensor]]:
    """Logits and every head's weights, computed by PyTorch's own functions.

    Args:
        ours: a `model.translator.decoder_only.DecoderOnly`; ids: int64 [batch, token].
        plan: edits, applied through the reference's own weights and masks.

    Returns:
        logits [batch, token, vocab]; ("decoder", layer) -> weights [batch, head, query, key]; states at each depth
        [batch, token, d].
    """
    count, embedding = ids.shape[1], ours.embedding.weight.float()
    order = None if plan is None else plan.position_order(count)
    positions = ours.positions.float()[torch.arange(count) if order is None else order]
    x = F.embedding(ids, embedding) * math.sqrt(ours.config.d_model) + positions
    causal = torch.ones(1, 1, count, count, dtype=torch.bool, device=ids.device).tril()
    weights: dict[tuple[str, int], Tensor] = {}
    states = [x]
    for number, layer in enumerate(ours.decoder):
        output, weights["decoder", number] = self_attention(layer.self_attention, x, causal, "decoder", number, plan)
        x = layer_norm(layer.norm_1, x + output)
        x = layer_norm(layer.norm_2, x + feed_forward(layer.feed_forward, x))
        states.append(x)
    return F.linear(x, embedding), weights, states


def verify(ours: Any, ids: Tensor, row: int, plan: EditPlan | None, trace: Trace, probe: Probe | None = None) -> Check:
    """The verdict on one input of a traced batch; none on a probe of it.

    Args:
        ids: int64 [batch, token]; row: index in the batch; plan: the edits of the traced pass.
        trace: what is judged.
    """
    if probe is not None:
        return not_compared(probe)
    logits, weights, states = run_reference(ours, ids, plan)
    own, dtype = {place: one[row] for place, one in weights.items()}, next(ours.parameters()).dtype
    length = len(trace.ids["decoder"]) if trace.ids.get("decoder") else logits.shape[1]
    return verdict(trace, dtype, logits[row][:length], own, [state[row] for state in states], HOW)
