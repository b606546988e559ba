"""Tensors of an attention call of any layout as [batch, head, token, width], the layout of the attention function."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from model.attention.masks import split_mask
from model.attention.record import BatchCall

# An additive mask forbids what is below: people write -1e4 and -1e9, and position biases are smaller.
FORBIDDEN = -9e3
HEAD_COUNTS = ("num_heads", "n_heads", "n_head", "nhead", "num_attention_heads", "heads")


def head_count(module: Any) -> int:
    """How many heads a module says that it has; 1 where it says nothing."""
    counts = (getattr(module, name, None) for name in HEAD_COUNTS)
    return next((count for count in counts if isinstance(count, int) and count > 0), 1)


def four_axes(tensor: Tensor, heads: int) -> Tensor:
    """A tensor of two to any number of axes as [batch, head, ., .].

    Args:
        tensor: [., .], [batch, ., .] of one head or of `heads` heads beside each other, [batch, head, ., .], or with
            more axes in front, which become the batch.
        heads: how many heads the calling module has.
    """
    if tensor.dim() == 2:
        return tensor[None, None]
    if tensor.dim() == 3:
        fits = heads > 1 and tensor.shape[0] % heads == 0
        return tensor.unflatten(0, (-1, heads)) if fits else tensor[:, None]
    return tensor.flatten(0, tensor.dim() - 4)


def batch_call(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    *,
    causal: bool,
    scale: float | None,
    heads: int,
) -> BatchCall:
    """A call of any layout as the attention function records it, detached; the tensors are used, not copied.

    Args:
        query, key, value: [..., head, token, width]; a batch or a head of 1 stands for all.
        mask: bool, True where a query may look, or additive; broadcastable to [..., head, query, key].
        causal: forbids every later key; scale: factor on Q Kᵀ, None is 1 / √head_dim.
        heads: of the calling module, for tensors without an axis of heads.
    """
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    if mask is not None:
        shape = (*query.shape[:-1], key.shape[-2])
        whole = mask.detach().expand(*(1,) * (len(shape) - mask.dim()), *mask.shape[:-2], *shape[-2:])
        # More axes than four are multiplied out; else an axis of 1 stays 1.
        mask = four_axes(whole.expand(shape) if len(shape) != 4 else whole, heads)
    if mask is not None and mask.dtype == torch.bool:
        mask = copied(mask)  # an additive one is copied when it is split
    allowed, bias = split_mask(mask, FORBIDDEN)
    if bias is not None and not bool(bias.any()):
        bias = None
    query, key, value = (four_axes(one.detach(), heads) for one in (query, key, value))
    batch = max(len(query), len(key), len(value))
    count = max(query.shape[1], key.shape[1])
    query = query.expand(batch, count, -1, -1)
    key, value = (one.expand(batch, -1, -1, -1) for one in (key, value))
    return BatchCall(query, key, value, allowed, causal, bias, scale)


def is_causal(call: BatchCall, extra: int = 0) -> bool:
    """Whether the mask of a call lets tokens look at earlier ones alone, and not because others are padding.

    Fewer queries than keys are the last tokens of a text, whose earlier keys were computed before.

    Args:
        extra: how many keys at the end are no tokens.
    """
    queries, keys = call.query.shape[-2], call.key.shape[-2] - extra
    if not 1 < queries <= keys:
        return False
    allowed = call.allowed[..., :keys]
    for_some = allowed.any(dim=-2) & ~allowed.all(dim=-2)
    return not bool(allowed.triu(keys - queries + 1).any()) and bool(for_some.any())


def weights_are_causal(weights: Tensor) -> bool:
    """Whether no query looks at a later key. [batch, head, query, key]"""
    queries, keys = weights.shape[-2:]
    return 1 < queries <= keys and not bool(weights.triu(keys - queries + 1).any())


def unbound(query: Tensor, key: Tensor, value: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Nested tensors of a batch as one triple an item, with a batch of 1 in front. [1, head, token, width]"""
    parts = (one.detach().unbind() for one in (query, key, value))
    return [(q[None], k[None], v[None]) for q, k, v in zip(*parts, strict=True)]


def copied(tensor: Tensor) -> Tensor:
    """A detached copy, which nobody changes afterwards; of an axis that repeats one number, one number is copied."""
    tensor = tensor.detach()
    repeated = [size > 1 and stride == 0 for size, stride in zip(tensor.shape, tensor.stride(), strict=True)]
    once = tensor[tuple(slice(1) if again else slice(None) for again in repeated)]
    return once.clone().expand(tensor.shape)
