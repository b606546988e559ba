"""Query, key, value and mask of PyTorch's two attention functions, from their arguments."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from model.attention.record import BatchCall
from model.capture.layouts import batch_call, copied, unbound

MULTI_HEAD = inspect.signature(F.multi_head_attention_forward)


@dataclass(frozen=True, eq=False)
class CallArguments:
    """What one attention call computed with.

    Attributes:
        parts: one call for a whole batch, or one for each item where items differ in length.
        dropout: the share of weights that the pass dropped after the softmax.
        extra_keys: names of keys at the end that are no tokens.
    """

    parts: Sequence[BatchCall]
    dropout: float = 0.0
    extra_keys: tuple[str, ...] = ()


def scaled_dot_product_arguments(
    heads: int,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> CallArguments:
    """What a call of `F.scaled_dot_product_attention` computed with; q, k and v are copied, as a cache changes them.

    Args:
        heads: of the calling module. The other arguments are the function's own.
    """
    triples = unbound(query, key, value) if query.is_nested else [(query, key, value)]
    parts = [
        batch_call(copied(q), copied(k), copied(v), attn_mask, causal=is_causal, scale=scale, heads=heads)
        for q, k, v in triples
    ]
    return CallArguments(parts, dropout_p)


@torch.no_grad()
def multi_head_arguments(args: Sequence[Any], kwargs: Mapping[str, Any]) -> CallArguments:
    """What a call of `F.multi_head_attention_forward`, which `nn.MultiheadAttention` makes, computed with.

    The function shows neither its queries nor the weights of single heads, so its projections are repeated here.
    """
    bound = MULTI_HEAD.bind(*args, **kwargs)
    bound.apply_defaults()
    given = bound.arguments
    heads = given["num_heads"]
    inputs = [given[name].detach() for name in ("query", "key", "value")]  # [token, batch, d], or [token, d]
    if inputs[0].dim() == 2:
        inputs = [one[:, None] for one in inputs]
    batch = inputs[0].shape[1]
    query, key, value = (_split_heads(one, heads) for one in _project(inputs, given))
    extra: tuple[str, ...] = ()
    if given["bias_k"] is not None:
        key, value = (
            torch.cat([one, _split_heads(given[name], heads).expand(batch, -1, -1, -1)], dim=2)
            for one, name in ((key, "bias_k"), (value, "bias_v"))
        )
        extra += ("bias",)
    if given["static_k"] is not None:
        key = given["static_k"].unflatten(0, (batch, heads))
    if given["static_v"] is not None:
        value = given["static_v"].unflatten(0, (batch, heads))
    if given["add_zero_attn"]:
        key, value = (torch.cat([one, torch.zeros_like(one[:, :, :1])], dim=2) for one in (key, value))
        extra += ("zero",)
    padding = given["key_padding_mask"]
    # With this hint alone PyTorch trusts it, and reads no mask.
    causal = given["is_causal"] and padding is None and not given["need_weights"]
    mask = None if causal else _multi_head_mask(given["attn_mask"], padding, batch, heads, len(extra), query.dtype)
    call = batch_call(query, key, value, mask, causal=causal, scale=None, heads=heads)
    return CallArguments([call], given["dropout_p"] if given["training"] else 0.0, extra)


def _project(inputs: Sequence[Tensor], given: Mapping[str, Any]) -> list[Tensor]:
    """Queries, keys and values of all heads beside each other. [token, batch, head · head_dim]"""
    if given["use_separate_proj_weight"]:
        weights = [given[f"{name}_proj_weight"] for name in "qkv"]
    else:
        weights = given["in_proj_weight"].chunk(3)
    biases = (None,) * 3 if given["in_proj_bias"] is None else given["in_proj_bias"].chunk(3)
    return [F.linear(one, weight, bias) for one, weight, bias in zip(inputs, weights, biases, strict=True)]


def _split_heads(tensor: Tensor, heads: int) -> Tensor:
    """[token, batch, head · head_dim] -> [batch, head, token, head_dim]"""
    return tensor.unflatten(-1, (heads, -1)).permute(1, 2, 0, 3)


def _multi_head_mask(
    mask: Tensor | None, padding: Tensor | None, batch: int, heads: int, extra: int, dtype: torch.dtype
) -> Tensor | None:
    """What a call adds to its scores; None without masks. [batch or 1, head or 1, query or 1, key]

    Args:
        mask: bool, True where a query may not look, or additive. [query, key] or [batch · head, query, key]
        padding: the same for keys. [batch, key], or [key] of a call without a batch
        extra: how many keys at the end have no place in the masks.
    """
    added = None
    if mask is not None:
        mask = F.pad(_additive(mask, dtype), (0, extra))
        added = mask[None, None] if mask.dim() == 2 else mask.unflatten(0, (batch, heads))
    if padding is not None:
        rows = F.pad(_additive(padding, dtype), (0, extra)).view(batch, 1, 1, -1)
        added = rows if added is None else added + rows
    return added


def _additive(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """A mask of `nn.MultiheadAttention` as what it adds to scores: -inf for True."""
    if mask.dtype != torch.bool:
        return mask.detach()
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(mask, -math.inf)
