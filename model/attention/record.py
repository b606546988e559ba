"""The record of a forward pass: what every attention call computed with, and feed-forward activations.

`record()` opens a record for the passes of one thread; `model.attention.formula.attention` writes into it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from model.attention.recorded_call import RecordedCall
from model.turns import rest_in_slices

# Receives kind, layer and weights [batch, head, query, key] of one attention call.
WeightsCallback = Callable[[str, int, Tensor], None]


@dataclass(frozen=True, eq=False)
class BatchCall:
    """What one attention call computed with, for the whole batch.

    Attributes:
        query, key, value, mask, causal, bias, scale, softcap, sinks, layer_index: as in
            `model.attention.formula.attention`.
        forced: head -> the weights that an edit set in place of the head's own. [batch or 1, query, key]
        factors: what an edit multiplies each head's output by, [batch or 1, head]; None is 1.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    mask: Tensor | None
    causal: bool
    bias: Tensor | None
    scale: float
    softcap: float | None = None
    sinks: Tensor | None = None
    forced: Mapping[int, Tensor] = field(default_factory=dict)
    factors: Sequence[Sequence[float]] | None = None
    layer_index: int | None = None

    def row(self, row: int, allowed: Tensor) -> RecordedCall:
        """The call for one sentence of the batch.

        Args:
            row: index of the sentence in the batch.
            allowed: that sentence's mask, bool [query, key]; True where a query may look.
        """
        count = self.query.shape[0]
        bias = None if self.bias is None else self.bias.expand(count, *self.bias.shape[1:])[row]
        forced = {head: weights.expand(count, *weights.shape[1:])[row] for head, weights in self.forced.items()}
        factors = () if self.factors is None else tuple(self.factors[row % len(self.factors)])
        own = (self.query[row], self.key[row], self.value[row], allowed, bias, self.scale)
        return RecordedCall(*own, forced, factors, self.softcap, self.sinks)

    def weights(self) -> Tensor:
        """Attention weights of the whole batch. [batch, head, query, key]"""
        masks = self.allowed[:, 0]
        return torch.stack([self.row(row, mask).weights_tensor() for row, mask in enumerate(masks)])

    @property
    def allowed(self) -> Tensor:
        """The mask with causality applied: True where a query may look. bool [batch, 1, query, key]"""
        shape = (self.query.shape[0], 1, self.query.shape[-2], self.key.shape[-2])
        if self.mask is not None:
            allowed = self.mask.expand(shape)
        else:
            allowed = torch.ones(shape, dtype=torch.bool, device=self.query.device)
        return allowed.tril() if self.causal else allowed


@dataclass
class Record:
    """What one forward pass recorded.

    Attributes:
        calls: (kind, layer) -> attention call.
        activations: (stack, layer) -> feed-forward neurons after their nonlinearity. [batch, token, d_ff]
    """

    calls: dict[tuple[str, int], BatchCall] = field(default_factory=dict)
    activations: dict[tuple[str, int], Tensor] = field(default_factory=dict)
    _allowed: dict[Hashable, tuple[Tensor | None, Sequence[Tensor]]] = field(default_factory=dict)

    def call(self, kind: str, layer: int, row: int = 0) -> RecordedCall:
        """The attention call of one layer for sentence `row` of the batch.

        Raises:
            KeyError: no such call was recorded.
        """
        call = self.calls[kind, layer]
        # Most models give all layers the same mask, which grows with the square of the tokens: it is stored once.
        key = (id(call.mask), call.causal, *call.query.shape[::2], call.key.shape[2])
        if key not in self._allowed:
            # Holding the mask itself keeps its id from being used again.
            self._allowed[key] = (call.mask, call.allowed[:, 0].unbind())
        return call.row(row, self._allowed[key][1][row])


# A ContextVar, not a global: many sessions share one model, each thread records only its own pass.
_record: ContextVar[Record | None] = ContextVar("record", default=None)


@contextmanager
def record() -> Iterator[Record]:
    """A record that the attention calls of this thread fill while the block runs."""
    opened = Record()
    token = _record.set(opened)
    try:
        yield opened
    finally:
        _record.reset(token)


def record_call(kind: str, layer: int, call: BatchCall) -> None:
    """Store an attention call in the open record, if there is one.

    A second call of one layer with the same queries and keys (differential attention) adds its values to the first's.
    """
    rest_in_slices()
    opened = _record.get()
    if opened is None:
        return
    before = opened.calls.get((kind, layer))
    if before is not None and before.query is call.query and before.key is call.key:
        call = replace(call, value=torch.cat([before.value, call.value], dim=-1))
    opened.calls[kind, layer] = call


def record_neurons(stack: str, layer: int, neurons: Tensor) -> None:
    """Store a feed-forward layer's neurons (after ReLU) in the open record, if there is one. [batch, token, d_ff]"""
    opened = _record.get()
    if opened is not None:
        opened.activations[stack, layer] = neurons
