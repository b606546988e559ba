"""Scaled dot-product attention, written once; every model in the app runs through `attention`.

    Attention(Q, K, V) = softmax(Q Kᵀ / √d_k + M) V          Vaswani et al. 2017, equation 1

The forward pass uses PyTorch's fused kernel, which never stores the weights. Inside `model.attention.record.record()`
each call also stores its query, key, value and mask, from which the weights are computed on demand.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from model.attention.edit_plan import EditPlan, current_edit_plan
from model.attention.record import BatchCall, record_call
from model.attention.recorded_call import repeat_heads, soft_capped, softmax_with_sinks


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
    softcap: float | None = None,
    sinks: Tensor | None = None,
    layer_index: int | None = None,
) -> Tensor:
    """Outputs of all heads: the values averaged with the attention weights.

    Args:
        query: [batch, head, query, head_dim]
        key, value: [batch, head, key, head_dim], or fewer heads, each shared by as many neighbouring query heads
            (grouped-query attention); a value may have another width than a key.
        mask: bool, broadcastable to [batch, 1, query, key]; True where a query may look. None allows everything.
        kind: "encoder", "decoder", "cross", "time" or "space"; layer: zero-based. They identify the call.
        scale: factor on Q Kᵀ; None is 1 / √head_dim.
        causal: True forbids every later key, in addition to the mask.
        bias: float, broadcastable to [batch, head, query, key]; added to the scaled scores. -inf forbids a key for
            one head.
        softcap: c, where scaled scores become c · tanh(score / c) before bias and mask (Gemma 2).
        sinks: a score of each head that takes part in the softmax but belongs to no key, so that rows sum to less
            than 1 (gpt-oss). [head]
        layer_index: which layer of the model calls, where not every layer has attention; None is `layer`.

    Returns:
        [batch, head, query, width of a value]

    Raises:
        InputError: an edit leaves a query without any key, or forces a pattern that does not fit this text.
    """
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    call = BatchCall(query, key, value, mask, causal, bias, scale, softcap, sinks, layer_index=layer_index)
    plan = current_edit_plan()
    if plan is not None:
        call = _apply_plan(call, plan, kind, layer)
    record_call(kind, layer, call)
    output = _fused_attention(call) if softcap is None and sinks is None else _explicit_attention(call)
    return output if plan is None else _edit_output(output, call)


def _fused_attention(call: BatchCall) -> Tensor:
    """The call's outputs from PyTorch's fused kernel, without edits of the weights. [batch, head, query, head_dim]"""
    mask = call.mask
    if (call.causal and mask is not None) or call.bias is not None:
        mask = call.allowed
        mask = mask if call.bias is None else torch.where(mask, call.bias.to(call.query.dtype), -math.inf)
    key, value, shared = call.key, call.value, call.key.shape[1] < call.query.shape[1]
    if shared and mask is not None and call.query.is_cuda:  # that fused kernel takes no shared keys with a mask
        key, value, shared = repeat_heads(key, call.query.shape[1]), repeat_heads(value, call.query.shape[1]), False
    causal = call.causal and mask is None
    return F.scaled_dot_product_attention(
        call.query, key, value, mask, scale=call.scale, is_causal=causal, enable_gqa=shared
    )


def _explicit_attention(call: BatchCall) -> Tensor:
    """The call's outputs where no fused kernel has its extras. float32 inside, [batch, head, query, value width]"""
    heads = call.query.shape[1]
    query, key, value = (
        one.float() for one in (call.query, repeat_heads(call.key, heads), repeat_heads(call.value, heads))
    )
    scores = soft_capped(query @ key.transpose(-2, -1) * call.scale, call.softcap)
    if call.bias is not None:
        scores = scores + call.bias
    weights = softmax_with_sinks(scores.masked_fill(~call.allowed, -math.inf), call.sinks)
    return (weights @ value).to(call.query.dtype)


def _apply_plan(call: BatchCall, plan: EditPlan, kind: str, layer: int) -> BatchCall:
    """The call with edited mask and temperature, and with the weights and head factors that edits set."""
    own_mask = call.allowed
    allowed = plan.edited_mask(kind, layer, own_mask)
    if allowed is not own_mask:
        call = replace(call, mask=allowed, causal=False)
    factor = plan.score_factor(kind)
    if factor != 1:
        bias = None if call.bias is None else call.bias * factor
        call = replace(call, scale=call.scale * factor, bias=bias)
    heads = call.query.shape[1]
    forced = plan.forced_weights(kind, layer, heads, allowed, call.key.shape[-2])
    return replace(call, forced=forced, factors=plan.head_factors(kind, layer, heads))


def _edit_output(output: Tensor, call: BatchCall) -> Tensor:
    """The outputs with forced weights and scaled heads; heads without an edit stay bit-equal."""
    factors = call.factors
    if call.forced or factors is not None:
        output = output.clone()
    value = repeat_heads(call.value, output.shape[1]) if call.forced else call.value
    for head, weights in call.forced.items():
        output[:, head] = weights.to(output.dtype) @ value[:, head]
    if factors is not None:
        output *= torch.tensor(factors, dtype=output.dtype, device=output.device)[:, :, None, None]
    return output
