"""The door between `transformers` and the one attention function."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import sdpa_mask

from model.attention import attention
from model.trace import Array

IMPLEMENTATION = "headlight"


@dataclass
class Calls:
    """Which attention call of a pass comes next; counted, as some models share one module among all layers."""

    encoder: frozenset[int]  # ids of the encoder's modules in an encoder-decoder model, else empty
    paired: bool  # the decoder's layers have self-attention and cross-attention, in turn
    counts: dict[str, int] = field(default_factory=dict)

    def name(self, module: nn.Module) -> tuple[str, int]:
        """Kind and layer of the call."""
        stack = "encoder" if id(module) in self.encoder or not self.paired else "decoder"
        number = self.counts.get(stack, 0)
        self.counts[stack] = number + 1
        if stack == "decoder":
            return ("decoder", "cross")[number % 2], number // 2
        return stack, number


_calls: ContextVar[Calls] = ContextVar("calls")


@contextmanager
def counting(encoder: nn.Module | None) -> Iterator[None]:
    """Name the attention calls inside this block; `encoder` is that of an encoder-decoder model."""
    parts = frozenset(id(part) for part in encoder.modules()) if encoder is not None else frozenset[int]()
    token = _calls.set(Calls(parts, paired=encoder is not None))
    try:
        yield
    finally:
        _calls.reset(token)


def _attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    is_causal: bool | None = None,
    position_bias: Tensor | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """What `transformers` calls in place of its own attention; the signature is the library's."""
    for name in ("softcap", "s_aux"):
        if options.get(name) is not None:
            raise NotImplementedError(name)
    groups = query.shape[1] // key.shape[1]  # grouped-query attention: several queries share a key and a value
    key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
    is_causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
    bias = position_bias
    if attention_mask is not None and attention_mask.dtype != torch.bool:
        # Where a model builds an additive mask of its own, the dtype's minimum stands for "may not look".
        allowed = attention_mask > torch.finfo(attention_mask.dtype).min / 2
        extra = attention_mask.masked_fill(~allowed, 0)
        bias = extra if bias is None else bias + extra
        attention_mask = allowed
    kind, layer = _calls.get().name(module)
    mixed = attention(
        query,
        key,
        value,
        attention_mask,
        kind=kind,
        layer=layer,
        scale=scaling,
        causal=bool(is_causal) and attention_mask is None and query.shape[2] > 1,
        bias=bias,
    )
    return mixed.transpose(1, 2).contiguous(), None


AttentionInterface.register(IMPLEMENTATION, _attend)
AttentionMaskInterface.register(IMPLEMENTATION, sdpa_mask)


@dataclass(frozen=True, eq=False)
class Observed:
    """One layer of a family that shows its weights only. The mask is read off them: exactly zero is forbidden."""

    seen: Array  # [head, query, key]
    scale: float = float("nan")

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return (*self.seen.shape, 0)

    def array(self, name: str) -> Array:
        if name == "allowed":
            return np.asarray((self.seen > 0).any(axis=0))
        raise ValueError(f"This model family does not show its {name} vectors, only its attention weights.")

    def scores(self, masked: bool = True) -> Array:
        raise ValueError("This model family does not show its scores, only its attention weights.")

    def weights(self) -> Array:
        return self.seen
