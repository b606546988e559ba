"""Self-attention and what stands around it by PyTorch's own functions, with a from-scratch layer's weights.

Shares no arithmetic with `model.attention`: models that are stacks of such layers are checked by it.
"""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from model.attention.edit_plan import EditPlan
from model.verification.references.stock_transformer import StockRun, apply_plan, projection_weights


def self_attention(
    ours: Any, x: Tensor, own_mask: Tensor, call: tuple[str, int], plan: EditPlan | None, run: StockRun
) -> Tensor:
    """Output of one attention layer, [batch, token, d]; its weights, queries, keys and values go to the run.

    Args:
        ours: the from-scratch layer, with `w_q`, `w_k`, `w_v`, `w_o` and `num_heads`.
        x: [batch, token, d]; own_mask: bool [batch or 1, 1, query, key], True where a query may look.
        call: kind and layer, by which the plan names it; plan: edits, applied through projections and mask.
    """
    parts, heads = projection_weights(ours, "own", x.dtype), ours.num_heads
    mask = own_mask.expand(len(x), heads, -1, -1).flatten(0, 1)
    projections = zip(*(parts[f"own.in_proj_{part}"].clone().chunk(3) for part in ("weight", "bias")), strict=True)
    query, key, value = (F.linear(x, *one).unflatten(-1, (heads, -1)).transpose(1, 2) for one in projections)
    if plan is None:
        added = x.new_zeros(mask.shape).masked_fill(~mask, float("-inf"))
    else:
        added = apply_plan(parts, "own", heads, plan, *call, own_mask.expand(len(x), -1, -1, -1)).to(x.dtype)
    rows = x.transpose(0, 1)  # [token, batch, d], as the function takes them
    output, weights = F.multi_head_attention_forward(
        rows, rows, rows, x.shape[-1], heads, parts["own.in_proj_weight"], parts["own.in_proj_bias"], None, None, False,
        0.0, parts["own.out_proj.weight"], parts["own.out_proj.bias"], training=False, attn_mask=added,
        average_attn_weights=False,
    )  # fmt: skip
    assert weights is not None
    run.weights[call], run.vectors[call] = weights, (query, key, value)
    return output.transpose(0, 1)


def feed_forward(ours: Any, x: Tensor, stack: str, run: StockRun) -> Tensor:
    """Output of one feed-forward layer with weights `w_1` and `w_2`; its neurons go to the run. [batch, token, d]"""
    dtype = x.dtype
    neurons = F.relu(F.linear(x, ours.w_1.weight.to(dtype), ours.w_1.bias.to(dtype)))
    run.neurons[stack].append(neurons)
    return F.linear(neurons, ours.w_2.weight.to(dtype), ours.w_2.bias.to(dtype))
