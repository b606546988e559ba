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

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from model import pooling
from model.arrays import to_numpy
from model.editing import Plan, current
from model.maps import Maps, Overview, at, at_most, overview
from model.scratch import room

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Call(Maps):
    """One attention call of one layer, for one sentence of the batch; computes its maps when asked.

    Tensors stay on the model's device. What leaves is NumPy float32 on the CPU, read-only.
    """

    query: Tensor  # [head, query, head_dim]
    key: Tensor  # [head or fewer, key, head_dim]
    value: Tensor  # [head or fewer, key, head_dim]; fewer: neighbouring heads share one (grouped-query attention)
    allowed: Tensor  # bool [query, key], True where a query may look
    bias: Tensor | None  # [head or 1, query, key], added to the scaled scores (T5's relative positions, ALiBi)
    scale: float  # usually 1 / √head_dim
    forced: Mapping[int, Tensor] = field(default_factory=dict)  # head -> weights that an edit gave it
    side_by_side = False  # PyTorch spreads one look over all cores, and a GPU's kernels queue up

    def every(self, name: str) -> Tensor:
        """ "query", "key" or "value" of every head, those that heads share repeated. [head, token, head_dim]"""
        return _every(getattr(self, name), len(self.query))

    def scores_tensor(self, masked: bool = True, into: Tensor | None = None) -> Tensor:
        """What the softmax is given: Q Kᵀ · scale + bias, -inf where the mask forbids. [head, query, key]"""
        raw = torch.matmul(self.query.float(), self.every("key").float().transpose(-2, -1), out=into).mul_(self.scale)
        raw = raw if self.bias is None else raw.add_(self.bias.float())
        # Added, which is exact, and takes a seventh of the time of filling.
        return raw.add_(torch.where(self.allowed, 0.0, -math.inf)) if masked else raw

    def weights_tensor(self) -> Tensor:
        """Attention weights; each row sums to 1, or is 0 where nothing may be looked at. [head, query, key]"""
        return self._softmax(self.scores_tensor())

    def _softmax(self, scores: Tensor, into: Tensor | None = None) -> Tensor:
        weights = torch.softmax(scores, dim=-1, out=into)
        blind = ~self.allowed.any(dim=-1, keepdim=True)
        if blind.any():
            weights.masked_fill_(blind, 0.0)
        for head, given in self.forced.items():
            weights[head] = given
        return weights

    def scores(self, masked: bool = True) -> Array:
        return to_numpy(self.scores_tensor(masked))

    def weights(self) -> Array:
        return to_numpy(self.weights_tensor())

    def drawn(self, head: int | None, queries: Sequence[int], keys: Sequence[int], shape: tuple[int, int]) -> Array:
        part = self._part(head, queries)
        if part._is_here:
            return Maps.drawn(part, None, range(len(queries)), keys, shape)
        weights, allowed = part.weights_tensor()[..., at(keys)], part.allowed[..., at(keys)]
        return to_numpy(pooling.pooled(weights, allowed, shape))

    def strongest(
        self, head: int, queries: Sequence[int], keys: Sequence[int], count: int
    ) -> tuple[Array, Array, Array]:
        part = self._part(head, queries)
        if part._is_here:
            return Maps.strongest(part, 0, range(len(queries)), keys, count)
        rows, columns, weights = pooling.largest(part.weights_tensor()[0, :, at(keys)], count)
        return to_numpy(rows), to_numpy(columns), to_numpy(weights)

    def overview(self, side: int) -> Overview:
        shape, device = self.shape[:3], self.query.device
        scores = self.scores_tensor(into=room("scores", shape, device))
        weights = self._softmax(scores, room("weights", shape, device))
        entropy = pooling.entropy_bits(scores, weights)
        for head, given in self.forced.items():  # their scores say nothing of them
            entropy[head] = torch.special.entr(given).sum(dim=-1) / math.log(2)
        entropy = entropy.mean(dim=-1)
        if self._is_here:
            return overview(to_numpy(weights), to_numpy(self.allowed), side, to_numpy(entropy))
        strongest, place = weights.flatten(1).max(dim=-1)
        maps = pooling.pooled(weights, self.allowed, at_most(self.allowed.shape, side))
        return Overview(*map(to_numpy, (maps, entropy, place, strongest)))

    @property
    def _is_here(self) -> bool:
        """Whether NumPy gets at the numbers without their being moved."""
        return self.query.device.type == "cpu"

    def _part(self, head: int | None, queries: Sequence[int]) -> Call:
        """The same call for one head, or all, and some of the queries."""
        heads = slice(None) if head is None else slice(head, head + 1)
        one = 0 if head is None else head * len(self.key) // len(self.query)
        shared = slice(None) if head is None else slice(one, one + 1)
        rows = at(queries)
        bias = self.bias
        if bias is not None:
            bias = (bias[heads] if len(bias) > 1 else bias).expand(-1, self.allowed.shape[0], -1)[:, rows]
        given = self.forced if head is None else {0: self.forced[head]} if head in self.forced else {}
        forced = {number: weights[rows] for number, weights in given.items()}
        q, k, v = self.query[heads][:, rows], self.key[shared], self.value[shared]
        return replace(self, query=q, key=k, value=v, allowed=self.allowed[rows], bias=bias, forced=forced)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(heads, queries, keys, head_dim)"""
        return (*self.query.shape[:2], self.key.shape[1], self.query.shape[2])

    def array(self, name: str) -> Array:
        """One of "query", "key", "value", "bias", "allowed" as a read-only NumPy array."""
        if name == "bias":
            shape = (self.query.shape[0], *self.allowed.shape)
            return to_numpy(self.query.new_zeros(shape) if self.bias is None else self.bias.expand(shape))
        return to_numpy(self.allowed if name == "allowed" else self.every(name))

    @property
    def memory(self) -> dict[int, int]:
        kept = (self.query, self.key, self.value, self.allowed, self.bias, *self.forced.values())
        return {tensor.data_ptr(): tensor.nbytes for tensor in kept if tensor is not None}


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

    def row(self, row: int, allowed: Tensor) -> Call:
        """The part of one sentence. allowed: the whole batch's, as below."""
        count = self.query.shape[0]
        bias = None if self.bias is None else self.bias.expand(count, *self.bias.shape[1:])[row]
        forced = {head: given.expand(count, *given.shape[1:])[row] for head, given in self.forced.items()}
        return Call(self.query[row], self.key[row], self.value[row], allowed[row, 0], bias, self.scale, forced)

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
    _allowed: dict[Hashable, tuple[Tensor | None, Tensor]] = field(default_factory=dict)

    def call(self, kind: str, layer: int, row: int = 0) -> Call:
        """The call of one layer for sentence `row` of the batch."""
        call = self.calls[kind, layer]
        # Most models give all layers the same mask, which grows with the square of the tokens: it is kept once.
        key = (id(call.mask), call.causal, *call.query.shape[::2], call.key.shape[2])
        if key not in self._allowed:
            self._allowed[key] = (call.mask, call.allowed)  # the mask, too: as long as it is kept its id is its own
        return call.row(row, self._allowed[key][1])


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
    return mixed if plan is None else _edited_output(mixed, call, plan, kind, layer)


def _mix(call: Batch) -> Tensor:
    added = call.mask
    if (call.causal and added is not None) or call.bias is not None:
        added = call.allowed
        added = added if call.bias is None else torch.where(added, call.bias.to(call.query.dtype), -math.inf)
    key, value, shared = call.key, call.value, call.key.shape[1] < call.query.shape[1]
    if shared and added is not None and call.query.is_cuda:  # that fused kernel takes no shared keys with a mask
        key, value, shared = _every(key, call.query.shape[1]), _every(value, call.query.shape[1]), False
    causal = call.causal and added is None
    return F.scaled_dot_product_attention(
        call.query, key, value, added, scale=call.scale, is_causal=causal, enable_gqa=shared
    )


def _every(shared: Tensor, heads: int) -> Tensor:
    """Keys or values for every head, where neighbouring heads may share one. [..., head, key, head_dim]"""
    times = heads // shared.shape[-3]
    return shared if times == 1 else shared.repeat_interleave(times, dim=-3)


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
    return replace(call, forced=plan.forced(kind, layer, call.query.shape[1], allowed, call.key.shape[-2]))


def _edited_output(mixed: Tensor, call: Batch, plan: Plan, kind: str, layer: int) -> Tensor:
    """The heads' outputs with forced weights and scaled heads; all others stay as they are, bit for bit."""
    factors = plan.factors(kind, layer, mixed.shape[1])
    if call.forced or factors is not None:
        mixed = mixed.clone()
    value = _every(call.value, mixed.shape[1]) if call.forced else call.value
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
