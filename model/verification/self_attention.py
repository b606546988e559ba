"""Self-attention by PyTorch's own function, with a from-scratch layer's weights, and the verdict on a run of it.

Shares no arithmetic with `model.attention`: models that are stacks of such layers are checked by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from model.attention.edit_plan import EditPlan
from model.attention.record import Record
from model.trace.check import Check
from model.verification.tolerances import error_limits
from model.verification.translator_reference import apply_plan, projection_weights


def self_attention(
    ours: Any, x: Tensor, own_mask: Tensor, kind: str, layer: int, plan: EditPlan | None
) -> tuple[Tensor, Tensor]:
    """Output [batch, token, d] and weights [batch, head, query, key] of one attention layer.

    Args:
        ours: the from-scratch layer, with `w_q`, `w_k`, `w_v`, `w_o` and `num_heads`.
        x: float32 [batch, token, d]; own_mask: bool [batch or 1, 1, query, key], True where a query may look.
        kind, layer: name the call in the plan; plan: edits, applied through projections and mask.
    """
    parts, heads = projection_weights(ours, "own"), ours.num_heads
    mask = own_mask.expand(len(x), heads, -1, -1).flatten(0, 1)
    if plan is None:
        added = x.new_zeros(mask.shape).masked_fill(~mask, float("-inf"))
    else:
        added = apply_plan(parts, "own", heads, plan, kind, layer, own_mask.expand(len(x), -1, -1, -1))
    rows = x.transpose(0, 1)  # [token, batch, d], as the function takes them
    output, weights = F.multi_head_attention_forward(
        rows, rows, rows, x.shape[-1], heads, parts["own.in_proj_weight"], parts["own.in_proj_bias"], None, None, False,
        0.0, parts["own.out_proj.weight"], parts["own.out_proj.bias"], training=False, attn_mask=added,
        average_attn_weights=False,
    )  # fmt: skip
    assert weights is not None
    return output.transpose(0, 1), weights


def feed_forward(ours: Any, x: Tensor) -> Tensor:
    """Output of one feed-forward layer with weights `w_1` and `w_2`. [batch, token, d]"""
    neurons = F.relu(F.linear(x, ours.w_1.weight.float(), ours.w_1.bias.float()))
    return F.linear(neurons, ours.w_2.weight.float(), ours.w_2.bias.float())


def layer_norm(ours: Any, x: Tensor) -> Tensor:
    """A layer norm with the weights of `ours`, in float32. [..., d]"""
    return F.layer_norm(x, x.shape[-1:], ours.weight.float(), ours.bias.float(), ours.eps)


def verdict(
    recorded: Record,
    row: int,
    logits: Tensor,
    expected: Tensor,
    expected_weights: Mapping[tuple[str, int], Tensor],
    how: str,
) -> Check:
    """Largest differences between one input of a traced batch and the reference run of it.

    Args:
        row: its index in the batch; recorded: the attention calls of the traced pass.
        logits: of the traced pass, [batch, ...]; expected: of the reference run, the same shape.
        expected_weights: (kind, layer) -> weights of the reference run. [batch, head, query, key]
    """
    weight_error, sum_error, leaked = [0.0], [0.0], [0.0]
    for (kind, layer), own in expected_weights.items():
        call = recorded.call(kind, layer, row)
        weights = call.weights_tensor()
        weight_error.append((weights - own[row]).abs().max().item())
        sum_error.append((weights.sum(-1) - 1).abs().max().item())
        leaked.append(weights.masked_fill(call.allowed, 0).max().item())
    weight_limit, logit_limit = error_limits(logits.dtype, expected)
    return Check(
        max_weight_error=float(np.max(weight_error)),
        max_row_sum_error=float(np.max(sum_error)),
        leaked_mass=float(np.max(leaked)),
        max_logit_error=(logits[row] - expected[row]).abs().max().item(),
        tolerance=weight_limit,
        logit_tolerance=logit_limit,
        how=how,
    )
