"""Scaled dot-product attention, written once; every model in the app runs through `attention`.

    Attention(Q, K, V) = softmax(Q Kᵀ / √d_k + M) V          Vaswani et al. 2017, equation 1

The forward pass runs at full speed through PyTorch's fused kernel and materialises no weights. Inside `record()` each
call also leaves its query, key, value and mask behind, and the weights are computed from those when somebody looks.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from model.attention.edit_plan import EditPlan, current
from model.attention.record import BatchCall, _record
from model.attention.recorded_call import repeat_heads


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None = None,
    *,
    kind: str,
    layer: int,
    scale: float | None = None,
    causal: bool = False,
    bias: Tensor | None = None,
) -> Tensor:
    """Mix the values by how well each query matches each key.

    Args:
        query: [batch, head, query, head_dim]; key, value: [batch, head, key, head_dim], or fewer heads, each shared by
            as many neighbouring heads of the query.
        mask: bool, broadcastable to [batch, 1, query, key]; True where a query may look. None lets all look at all.
        kind: "encoder", "decoder" or "cross"; layer: zero-based. Both only name the call in the record.
        scale: factor on Q Kᵀ; None is 1 / √head_dim.
        causal: True forbids every later key, on top of the mask.
        bias: float, broadcastable to [batch, head, query, key]; added to the scaled scores.

    Returns:
        [batch, head, query, head_dim]
    """
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    call = BatchCall(query, key, value, mask, causal, bias, scale)
    plan = current()
    if plan is not None:
        call = _edited(call, plan, kind, layer)
    kept = _record.get()
    if kept is not None:
        kept.calls[kind, layer] = call
    mixed = _mix(call)
    return mixed if plan is None else _edited_output(mixed, call)


def _mix(call: BatchCall) -> Tensor:
    added = call.mask
    if (call.causal and added is not None) or call.bias is not None:
        added = call.allowed
        added = added if call.bias is None else torch.where(added, call.bias.to(call.query.dtype), -math.inf)
    key, value, shared = call.key, call.value, call.key.shape[1] < call.query.shape[1]
    if shared and added is not None and call.query.is_cuda:  # that fused kernel takes no shared keys with a mask
        key, value, shared = repeat_heads(key, call.query.shape[1]), repeat_heads(value, call.query.shape[1]), False
    causal = call.causal and added is None
    return F.scaled_dot_product_attention(
        call.query, key, value, added, scale=call.scale, is_causal=causal, enable_gqa=shared
    )


def _edited(call: BatchCall, plan: EditPlan, kind: str, layer: int) -> BatchCall:
    """The call with what an edit changes before the softmax, and the weights it forces."""
    own = call.allowed
    allowed = plan.allowed(kind, layer, own)
    if allowed is not own:
        call = replace(call, mask=allowed, causal=False)
    sharpness = plan.sharpness(kind)
    if sharpness != 1:
        bias = None if call.bias is None else call.bias * sharpness
        call = replace(call, scale=call.scale * sharpness, bias=bias)
    heads = call.query.shape[1]
    forced = plan.forced(kind, layer, heads, allowed, call.key.shape[-2])
    return replace(call, forced=forced, factors=plan.factors(kind, layer, heads))


def _edited_output(mixed: Tensor, call: BatchCall) -> Tensor:
    """The heads' outputs with forced weights and scaled heads; all others stay as they are, bit for bit."""
    factors = call.factors
    if call.forced or factors is not None:
        mixed = mixed.clone()
    value = repeat_heads(call.value, mixed.shape[1]) if call.forced else call.value
    for head, given in call.forced.items():
        mixed[:, head] = given.to(mixed.dtype) @ value[:, head]
    if factors is not None:
        mixed *= torch.tensor(factors, dtype=mixed.dtype, device=mixed.device)[:, :, None, None]
    return mixed
