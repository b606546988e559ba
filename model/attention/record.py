"""Scaled dot-product attention, written once; every model in the app runs through `attention`.

    Attention(Q, K, V) = softmax(Q Kᵀ / √d_k + M) V          Vaswani et al. 2017, equation 1

The forward pass runs at full speed through PyTorch's fused kernel and materialises no weights. Inside `record()` each
call also leaves its query, key, value and mask behind, and the weights are computed from those when somebody looks.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

import torch
from torch import Tensor

from model.attention.recorded_call import RecordedCall


@dataclass(frozen=True, eq=False)
class BatchCall:
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

    def row(self, row: int, allowed: Tensor) -> RecordedCall:
        """The part of one sentence. allowed: that sentence's, bool [query, key]."""
        count = self.query.shape[0]
        bias = None if self.bias is None else self.bias.expand(count, *self.bias.shape[1:])[row]
        forced = {head: given.expand(count, *given.shape[1:])[row] for head, given in self.forced.items()}
        factors = () if self.factors is None else tuple(self.factors[row % len(self.factors)])
        return RecordedCall(self.query[row], self.key[row], self.value[row], allowed, bias, self.scale, forced, factors)

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

    calls: dict[tuple[str, int], BatchCall] = field(default_factory=dict)
    # Feed-forward neurons [batch, token, d_ff].
    activations: dict[tuple[str, int], Tensor] = field(default_factory=dict)
    _allowed: dict[Hashable, tuple[Tensor | None, Sequence[Tensor]]] = field(default_factory=dict)

    def call(self, kind: str, layer: int, row: int = 0) -> RecordedCall:
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


def keep_activation(kind: str, layer: int, neurons: Tensor) -> None:
    """Leave a feed-forward layer's neurons (after ReLU) in the record, if one is open. [batch, token, d_ff]"""
    kept = _record.get()
    if kept is not None:
        kept.activations[kind, layer] = neurons
