"""Scaled dot-product attention, written once; every model in the app runs through `attention`.

    Attention(Q, K, V) = softmax(Q Kᵀ / √d_k + M) V          Vaswani et al. 2017, equation 1

The forward pass runs at full speed through PyTorch's fused kernel and materialises no weights. Inside `record()` each
call also leaves its query, key, value and mask behind, and the weights are computed from those when somebody looks.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from model.call import Call, every_head
from model.editing import Plan, current


@dataclass(frozen=True, eq=False)
class Batch:
    """What one attention call computed with, for the whole batch; arguments as in `attention`."""

    query: Tensor
    key: Tensor
    value: Tensor
    mask: Tensor | None
    causal: bool
    bias: Tensor | None
    scale: float
    forced: Mapping[int, Tensor] = field(default_factory=dict)  # head -> [batch or 1, query, key]
    factors: Sequence[Sequence[float]] | None = None  # on the heads' outputs, [batch or 1, head]; None is 1

    def row(self, row: int, allowed: Tensor) -> Call:
        """The part of one sentence. allowed: that sentence's, bool [query, key]."""
        count = self.query.shape[0]
        bias = None if self.bias is None else self.bias.expand(count, *self.bias.shape[1:])[row]
        forced = {head: given.expand(count, *given.shape[1:])[row] for head, given in self.forced.items()}
        factors = () if self.factors is None else tuple(self.factors[row % len(self.factors)])
        return Call(self.query[row], self.key[row], self.value[row], allowed, bias, self.scale, forced, factors)

    @property
    def allowed(self) -> Tensor:
        """Where a query may look, mask and causality together. bool [batch, 1, query, key]"""
        shape = (self.query.shape[0], 1, self.query.shape[-2], self.key.shape[-2])
        if self.mask is not None:
            allowed = self.mask.expand(shape)
        else:
            allowed = torch.ones(shape, dtype=torch.bool, device=self.query.device)
        return allowed.tril() if self.causal else allowed


@dataclass
class Record:
    """What one forward pass left behind, keyed by attention kind and layer."""

    calls: dict[tuple[str, int], Batch] = field(default_factory=dict)
    # Feed-forward neurons [batch, token, d_ff].
    activations: dict[tuple[str, int], Tensor] = field(default_factory=dict)
    _allowed: dict[Hashable, tuple[Tensor | None, Sequence[Tensor]]] = field(default_factory=dict)

    def call(self, kind: str, layer: int, row: int = 0) -> Call:
        """The call of one layer for sentence `row` of the batch."""
        call = self.calls[kind, layer]
        # Most models give all layers the same mask, which grows with the square of the tokens: it is kept once.
        key = (id(call.mask), call.causal, *call.query.shape[::2], call.key.shape[2])
        if key not in self._allowed:
            # The mask, too: as long as it is kept its id is its own.
            self._allowed[key] = (call.mask, call.allowed[:, 0].unbind())
        return call.row(row, self._allowed[key][1][row])


# A ContextVar, not a global: many sessions share one model, each thread records only its own pass.
_record: ContextVar[Record | None] = ContextVar("record", default=None)


@contextmanager
def record() -> Iterator[Record]:
    """Keep what the attention calls inside this block compute with."""
    kept = Record()
    token = _record.set(kept)
    try:
        yield kept
    finally:
        _record.reset(token)


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
    call = Batch(query, key, value, mask, causal, bias, scale)
    plan = current()
    if plan is not None:
        call = _edited(call, plan, kind, layer)
    kept = _record.get()
    if kept is not None:
        kept.calls[kind, layer] = call
    mixed = _mix(call)
    return mixed if plan is None else _edited_output(mixed, call)


def _mix(call: Batch) -> Tensor:
    added = call.mask
    if (call.causal and added is not None) or call.bias is not None:
        added = call.allowed
        added = added if call.bias is None else torch.where(added, call.bias.to(call.query.dtype), -math.inf)
    key, value, shared = call.key, call.value, call.key.shape[1] < call.query.shape[1]
    if shared and added is not None and call.query.is_cuda:  # that fused kernel takes no shared keys with a mask
        key, value, shared = every_head(key, call.query.shape[1]), every_head(value, call.query.shape[1]), False
    causal = call.causal and added is None
    return F.scaled_dot_product_attention(
        call.query, key, value, added, scale=call.scale, is_causal=causal, enable_gqa=shared
    )


def _edited(call: Batch, plan: Plan, kind: str, layer: int) -> Batch:
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


def _edited_output(mixed: Tensor, call: Batch) -> Tensor:
    """The heads' outputs with forced weights and scaled heads; all others stay as they are, bit for bit."""
    factors = call.factors
    if call.forced or factors is not None:
        mixed = mixed.clone()
    value = every_head(call.value, mixed.shape[1]) if call.forced else call.value
    for head, given in call.forced.items():
        mixed[:, head] = given.to(mixed.dtype) @ value[:, head]
    if factors is not None:
        mixed *= torch.tensor(factors, dtype=mixed.dtype, device=mixed.device)[:, :, None, None]
    return mixed


def keep_activation(kind: str, layer: int, neurons: Tensor) -> None:
    """Leave a feed-forward layer's neurons (after ReLU) in the record, if one is open. [batch, token, d_ff]"""
    kept = _record.get()
    if kept is not None:
        kept.activations[kind, layer] = neurons
