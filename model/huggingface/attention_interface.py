"""The door between `transformers` and the one attention function."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask, sdpa_mask

from model.attention.edit_plan import EditPlan, current
from model.attention.formula import attention

IMPLEMENTATION = "headlight"


STOCK = "headlight-stock"  # the library's own, which a trace is checked against


Look = Callable[[str, int, Tensor], None]  # is shown kind, layer and weights [batch, head, query, key]


@dataclass
class CallCounter:
    """Which attention call of a pass comes next; counted, as some models share one module among all layers."""

    encoder: frozenset[int]  # ids of the encoder's modules in an encoder-decoder model, else empty
    single: str | None  # what a single stack is, "encoder" or "decoder"; None in an encoder-decoder model
    counts: dict[str, int] = field(default_factory=dict)

    def name(self, module: nn.Module) -> tuple[str, int]:
        """Kind and layer of the call."""
        stack = self.single or ("encoder" if id(module) in self.encoder else "decoder")
        number = self.counts.get(stack, 0)
        self.counts[stack] = number + 1
        if stack == "decoder" and self.single is None:  # self-attention and cross-attention, in turn
            return ("decoder", "cross")[number % 2], number // 2
        return stack, number


_calls: ContextVar[CallCounter | None] = ContextVar("calls", default=None)


_look: ContextVar[Look | None] = ContextVar("look", default=None)


@contextmanager
def showing_weights(look: Look) -> Iterator[None]:
    """Show each call's weights to `look` as soon as the library's own attention has computed them.

    Nothing keeps them after that: a long text takes the memory of one layer's maps, not of all.
    """
    token = _look.set(look)
    try:
        yield
    finally:
        _look.reset(token)


@contextmanager
def naming_calls(encoder: nn.Module | None, single: str) -> Iterator[None]:
    """Name the attention calls inside this block; `encoder` is that of an encoder-decoder model."""
    parts = frozenset(id(part) for part in encoder.modules()) if encoder is not None else frozenset[int]()
    token = _calls.set(CallCounter(parts, single if encoder is None else None))
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
    is_causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
    attention_mask, extra = _split(attention_mask)
    bias = _moved(position_bias)
    if extra is not None:
        bias = extra if bias is None else bias + extra
    calls = _calls.get()
    # The module may be run by others, too, as by the library's own `generate`: their calls have no name.
    kind, layer = ("unnamed", 0) if calls is None else calls.name(module)
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


def _split(mask: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
    """A mask as true and false, and what else it adds to the scores.

    Where a model builds an additive mask of its own, the dtype's minimum stands for "may not look".
    """
    if mask is None or mask.dtype == torch.bool:
        return mask, None
    allowed = mask > torch.finfo(mask.dtype).min / 2
    return allowed, mask.masked_fill(~allowed, 0)


def _moved(bias: Tensor | None) -> Tensor | None:
    """A bias by distance, for the places that an edit tells the tokens. [batch, head, query, key]"""
    plan = current()
    if bias is None or plan is None or bias.shape[-1] == 1:
        return bias
    asking, asked = plan.places(bias.shape[-2]), plan.places(bias.shape[-1])
    return bias if asking is None or asked is None else bias[..., asking, :][..., asked]


def _stock(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    **options: Any,
) -> tuple[Tensor, None]:
    """The model file's own eager attention; its weights go to whoever looks, and are let go of."""
    plan, calls, look = current(), _calls.get(), _look.get()
    assert calls is not None
    assert look is not None
    kind, layer = calls.name(module)
    eager = sys.modules[type(module).__module__].eager_attention_forward
    if plan is None:
        mixed, weights = eager(module, query, key, value, attention_mask, **options)
    else:
        mixed, weights = _edited(eager, plan, kind, layer, module, query, key, value, attention_mask, **options)
    look(kind, layer, weights)
    return mixed, None


def _edited(
    eager: Callable[..., tuple[Tensor, Tensor]],
    plan: EditPlan,
    kind: str,
    layer: int,
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    position_bias: Tensor | None = None,
    **options: Any,
) -> tuple[Tensor, Tensor]:
    """The same with an edit's mask, temperature and heads brought in from outside."""
    own, extra = _split(attention_mask)
    shape = (query.shape[0], 1, query.shape[2], key.shape[2])
    own = torch.ones(shape, dtype=torch.bool, device=query.device) if own is None else own.expand(shape)
    if attention_mask is None and getattr(module, "is_causal", False):
        own = own.tril()
    allowed, sharpness = plan.allowed(kind, layer, own), plan.sharpness(kind)
    added = torch.zeros(shape, dtype=query.dtype, device=query.device) if extra is None else extra * sharpness
    if position_bias is not None:
        options["position_bias"] = _moved(position_bias) * sharpness  # type: ignore[operator]
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    mask = added.masked_fill(~allowed, -math.inf)
    mixed, weights = eager(module, query, key, value, mask, scaling=scaling * sharpness, **options)
    mixed, weights = mixed.clone(), weights.clone()  # [batch, query, head, head_dim], [batch, head, query, key]
    for head, given in plan.forced(kind, layer, query.shape[1], allowed, key.shape[2]).items():
        weights[:, head] = given
        mixed[:, :, head] = given @ value[:, head * value.shape[1] // query.shape[1]]
    factors = plan.factors(kind, layer, query.shape[1])
    if factors is not None:
        mixed *= torch.tensor(factors, dtype=mixed.dtype, device=mixed.device)[:, None, :, None]
    return mixed, weights


AttentionInterface.register(IMPLEMENTATION, _attend)


AttentionMaskInterface.register(IMPLEMENTATION, sdpa_mask)


AttentionInterface.register(STOCK, _stock)


AttentionMaskInterface.register(STOCK, eager_mask)
