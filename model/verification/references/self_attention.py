"""Self-attention by PyTorch's own function, with a from-scratch layer's weights, and the verdict on a run of it.

Shares no arithmetic with `model.attention`: models that are stacks of such layers are checked by it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from model.attention.edit_plan import EditPlan
from model.trace.check import Check
from model.trace.trace import Trace
from model.verification.comparison import Comparison
from model.verification.references.stock_transformer import apply_plan, projection_weights
from model.verification.tolerances import limits


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
    trace: Trace,
    dtype: torch.dtype,
    logits: Tensor,
    weights: Mapping[tuple[str, int], Tensor],
    states: Sequence[Tensor],
    how: str,
) -> Check:
    """The verdict on a trace, from a reference run of the same input.

    Args:
        dtype: the number format of the traced pass.
        logits: of the reference run; weights: (kind, layer) -> its weights, [head, query, key].
        states: its hidden states at each depth, [token, d].
    """
    comparison = Comparison(trace, limits(dtype))
    for (kind, layer), own in weights.items():
        comparison.add_layer(kind, layer, own)
    comparison.add_states(next(iter(trace.hidden_states)), states)
    comparison.add_logits(logits)
    return comparison.check(how)
