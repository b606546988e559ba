"""Verification of a from-scratch decoder's trace against PyTorch's own attention function with the same weights."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from model.attention.edit_plan import EditPlan
from model.attention.record import Record
from model.trace.check import Check
from model.verification.self_attention import feed_forward, layer_norm, self_attention, verdict

HOW = "torch.nn.functional.multi_head_attention_forward with the same weights, run on the same tokens"


@torch.no_grad()
def run_reference(ours: Any, ids: Tensor, plan: EditPlan | None = None) -> tuple[Tensor, dict[tuple[str, int], Tensor]]:
    """Logits and every head's weights, computed by PyTorch's own functions.

    Args:
        ours: a `model.translator.decoder_only.DecoderOnly`; ids: int64 [batch, token].
        plan: edits, applied through the reference's own weights and masks.

    Returns:
        logits [batch, token, vocab]; ("decoder", layer) -> weights [batch, head, query, key].
    """
    count, embedding = ids.shape[1], ours.embedding.weight.float()
    order = None if plan is None else plan.position_order(count)
    positions = ours.positions.float()[torch.arange(count) if order is None else order]
    x = F.embedding(ids, embedding) * math.sqrt(ours.config.d_model) + positions
    causal = torch.ones(1, 1, count, count, dtype=torch.bool, device=ids.device).tril()
    weights: dict[tuple[str, int], Tensor] = {}
    for number, layer in enumerate(ours.decoder):
        output, weights["decoder", number] = self_attention(layer.self_attention, x, causal, "decoder", number, plan)
        x = layer_norm(layer.norm_1, x + output)
        x = layer_norm(layer.norm_2, x + feed_forward(layer.feed_forward, x))
    return F.linear(x, embedding), weights


def verify(ours: Any, ids: Tensor, recorded: Record, logits: Tensor, row: int, plan: EditPlan | None) -> Check:
    """The verdict on one text of a traced batch.

    Args:
        ids: int64 [batch, token]; recorded: the attention calls of the traced pass; logits: [batch, token, vocab].
        row: index of the text in the batch; plan: the edits of the traced pass.
    """
    expected, expected_weights = run_reference(ours, ids, plan)
    return verdict(recorded, row, logits, expected, expected_weights, HOW)
