"""The two attention implementations registered with `transformers`: the recorded one and the eager reference."""

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

from model.attention.edit_plan import EditPlan, current_edit_plan
from model.attention.formula import attention
from model.attention.record import WeightsCallback

HEADLIGHT = "headlight"  # runs through `model.attention.formula.attention`
LIBRARY_EAGER = "headlight-stock"  # the library's own, which a trace is verified against


@dataclass
class CallCounter:
    """Kind and layer of the attention calls of a pass, by counting them: some models share one module among layers."""

    encoder: frozenset[int]  # ids of the encoder's modules in an encoder-decoder model, else empty
    single: str | None  # what a single stack is, "encoder" or "decoder"; None in an encoder-decoder model
    counts: dict[str, int] = field(default_factory=dict)

    def name(self, module: nn.Module) -> tuple[str, int]:
        """Kind and layer of the next call, made by `module`."""
        stack = self.single or ("encoder" if id(module) in self.encoder else "decoder")
        number = self.counts.get(stack, 0)
        self.counts[stack] = number + 1
        if stack == "decoder" and self.single is None:  # self-attention and cross-attention, in turn
            return ("decoder", "cross")[number % 2], number // 2
        return stack, number


_calls: ContextVar[CallCounter | None] = ContextVar("calls", default=None)


_on_weights: ContextVar[WeightsCallback | None] = ContextVar("on_weights", default=None)


@contextmanager
def capture_weights(on_weights: WeightsCallback) -> Iterator[None]:
    """Pass the weights of each eager attention call in this thread to a callback while the block runs.

    They are not stored, so a long text takes the memory of one layer's maps, not of all.
    """
    token = _on_weights.set(on_weights)
    try:
        yield
    finally:
        _on_weights.reset(token)


@contextmanager
def name_attention_calls(encoder: nn.Module | None, single: str) -> Iterator[None]:
    """Assign kind and layer to the attention calls of this thread while the block runs.

    Args:
        encoder: the encoder of an encoder-decoder model, else None.
        single: what a single stack is, "encoder" or "decoder".
    """
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
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """The implementation "headlight", called by `transformers` with its own signature. [batch, query, head, head_dim]

    Args:
        softcap, s_aux: the library's names for the cap on scores and for the sinks.
    """
    is_causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
    attention_mask, extra = _split_mask(attention_mask)
    bias = _move_bias(position_bias)
    if extra is not None:
        bias = extra if bias is None else bias + extra
    calls = _calls.get()
    # Calls outside `name_attention_calls`, such as those of the library's own `generate`, have no kind and layer.
    kind, layer = ("unnamed", 0) if calls is None else calls.name(module)
    # The library leaves a causal mask out where a module is to say so itself, and some decoders do not (NLLB-MoE).
    is_causal = is_causal or (kind == "decoder" and calls is not None and calls.single is None)
    output = attention(
        query,
        key,
        value,
        attention_mask,
        kind=kind,
        layer=layer,
        scale=scaling,
        causal=bool(is_causal) and attention_mask is None and query.shape[2] > 1,
        bias=bias,
        softcap=softcap,
        sinks=s_aux,
        layer_index=getattr(module, "layer_idx", None),
    )
    return output.transpose(1, 2).contiguous(), None


def _split_mask(mask: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
    """A bool mask for all heads, and what else a mask adds to the scores of heads; None where there is none.

    In an additive mask the dtype's minimum stands for a forbidden key. A key forbidden for some heads only stays
    allowed in the mask, and gets -inf in what is added. [batch, 1, query, key], [batch, head or 1, query, key]
    """
    if mask is None:
        return None, None
    own = mask if mask.dtype == torch.bool else mask > torch.finfo(mask.dtype).min / 2
    added = None if mask.dtype == torch.bool else mask.masked_fill(~own, 0)
    if own.shape[1] == 1:
        return own, added
    allowed = own.any(dim=1, keepdim=True)
    if bool((own == allowed).all()):
        return allowed, added
    added = torch.zeros(own.shape, dtype=torch.float32, device=own.device) if added is None else added
    return allowed, added.masked_fill(~own & allowed, -math.inf)


def _move_bias(bias: Tensor | None) -> Tensor | None:
    """A position bias in the order that edits set. [batch, head, query, key]"""
    plan = current_edit_plan()
    if bias is None or plan is None or bias.shape[-1] == 1:
        return bias
    query_order, key_order = plan.position_order(bias.shape[-2]), plan.position_order(bias.shape[-1])
    return bias if query_order is None or key_order is None else bias[..., query_order, :][..., key_order]


def _attend_eagerly(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    **options: Any,
) -> tuple[Tensor, None]:
    """The implementation "headlight-stock": the family's own eager attention, its weights passed to the callback."""
    plan, calls, on_weights = current_edit_plan(), _calls.get(), _on_weights.get()
    assert calls is not None
    assert on_weights is not None
    kind, layer = calls.name(module)
    eager = sys.modules[type(module).__module__].eager_attention_forward
    if plan is None:
        output, weights = eager(module, query, key, value, attention_mask, **options)
    else:
        output, weights = _attend_with_edits(
            eager, plan, kind, layer, module, query, key, value, attention_mask, **options
        )
    on_weights(kind, layer, weights)
    return output, None


def _attend_with_edits(
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
    """Eager attention with edits applied to its mask, scale, weights and outputs."""
    own_mask, extra = _split_mask(attention_mask)
    shape = (query.shape[0], 1, query.shape[2], key.shape[2])
    own_mask = torch.ones(shape, dtype=torch.bool, device=query.device) if own_mask is None else own_mask.expand(shape)
    if attention_mask is None and getattr(module, "is_causal", False):
        own_mask = own_mask.tril()
    allowed, factor = plan.edited_mask(kind, layer, own_mask), plan.score_factor(kind)
    added = torch.zeros(shape, dtype=query.dtype, device=query.device) if extra is None else extra * factor
    if position_bias is not None:
        options["position_bias"] = _move_bias(position_bias) * factor  # type: ignore[operator]
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    mask = added.masked_fill(~allowed, -math.inf)
    output, weights = eager(module, query, key, value, mask, scaling=scaling * factor, **options)
    output, weights = output.clone(), weights.clone()  # [batch, query, head, head_dim], [batch, head, query, key]
    for head, forced in plan.forced_weights(kind, layer, query.shape[1], allowed, key.shape[2]).items():
        weights[:, head] = forced
        output[:, :, head] = forced @ value[:, head * value.shape[1] // query.shape[1]]
    factors = plan.head_factors(kind, layer, query.shape[1])
    if factors is not None:
        output *= torch.tensor(factors, dtype=output.dtype, device=output.device)[:, None, :, None]
    return output, weights


AttentionInterface.register(HEADLIGHT, _attend)
AttentionMaskInterface.register(HEADLIGHT, sdpa_mask)
AttentionInterface.register(LIBRARY_EAGER, _attend_eagerly)
AttentionMaskInterface.register(LIBRARY_EAGER, eager_mask)
