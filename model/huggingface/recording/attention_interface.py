"""The two attention implementations registered with `transformers`: the recorded one and the eager reference."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask, sdpa_mask

from model.attention.edit_plan import EditPlan, current_edit_plan
from model.attention.formula import attention
from model.attention.masks import split_mask
from model.attention.record import WeightsCallback
from model.attention.recorded_call import repeat_heads
from model.huggingface.recording.call_names import UNNAMED, current_calls
from model.huggingface.recording.hooks import running_layer
from model.huggingface.recording.windows import fold, unfold, unfold_maps, unfold_mask

HEADLIGHT = "headlight"  # runs through `model.attention.formula.attention`
HEADLIGHT_ALL_MASKS = "headlight-masks"  # the same, for families whose modules do not say that they are causal
LIBRARY_EAGER = "headlight-stock"  # the library's own, which a trace is verified against


_on_weights: ContextVar[WeightsCallback | None] = ContextVar("on_weights", default=None)
# Receives the calling module, kind, layer, and query, key and value, [batch, head, token, head_dim].
VectorsCallback = Callable[[nn.Module, str, int, tuple[Tensor, Tensor, Tensor]], None]
_on_vectors: ContextVar[VectorsCallback | None] = ContextVar("on_vectors", default=None)


@contextmanager
def capture_weights(on_weights: WeightsCallback, on_vectors: VectorsCallback | None = None) -> Iterator[None]:
    """Pass the weights of each eager attention call in this thread to a callback while the block runs.

    They are not stored, so a long text takes the memory of one layer's maps, not of all.

    Args:
        on_vectors: receives query, key and value of the call just before.
    """
    token, other = _on_weights.set(on_weights), _on_vectors.set(on_vectors)
    try:
        yield
    finally:
        _on_weights.reset(token)
        _on_vectors.reset(other)


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
    indices: Tensor | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """The implementation "headlight", called by `transformers` with its own signature. [batch, query, head, head_dim]

    Args:
        softcap, s_aux: the library's names for the cap on scores and for the sinks.
        indices: the only keys that each query may look at, where a family chooses some (DeepSeek-V3.2). [batch, query,
            chosen]

    Raises:
        NotImplementedError: the family passes an extra that the formula does not know.
    """
    _check_extras(options)
    attention_mask = _with_chosen_keys(attention_mask, indices, key.shape[2])
    is_causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
    calls = current_calls()
    # Calls outside `name_attention_calls`, such as those of the library's own `generate`, have no kind and layer.
    kind, layer = (UNNAMED, 0) if calls is None else calls.name(module, query, key)
    layout = None if calls is None else calls.layout(kind, layer)
    if layout is not None:
        query, key, value = (unfold(one, layout) for one in (query, key, value))
        attention_mask = unfold_mask(attention_mask, layout, query.dtype)
    attention_mask, extra = split_mask(attention_mask)
    bias = _move_bias(position_bias)
    if extra is not None:
        bias = extra if bias is None else bias + extra
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
        layer_index=running_layer(module),
    )
    output = output if layout is None else fold(output, layout)
    return output.transpose(1, 2).contiguous(), None


def _check_extras(options: Mapping[str, Any]) -> None:
    """Refuse a tensor that may change the scores; ids and places of tokens, which models hand down, do not."""
    for name, value in options.items():
        if isinstance(value, Tensor) and not name.endswith(("_ids", "_position", "_mask", "_embeds", "_embeddings")):
            raise NotImplementedError(f"the family's attention takes {name}, which is not in the formula")


def _with_chosen_keys(mask: Tensor | None, indices: Tensor | None, keys: int) -> Tensor | None:
    """A mask that also forbids the keys that are not chosen; bool or additive, as it was. [batch, 1, query, key]"""
    if indices is None:
        return mask
    chosen = torch.zeros(*indices.shape[:2], keys, dtype=torch.bool, device=indices.device)
    chosen = chosen.scatter(-1, indices.long(), True)[:, None]
    if mask is None:
        return chosen
    return mask & chosen if mask.dtype == torch.bool else mask.masked_fill(~chosen, torch.finfo(mask.dtype).min)


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
    plan, calls, on_weights, on_vectors = current_edit_plan(), current_calls(), _on_weights.get(), _on_vectors.get()
    assert calls is not None
    assert on_weights is not None
    attention_mask = _with_chosen_keys(attention_mask, options.pop("indices", None), key.shape[2])
    kind, layer = calls.name(module, query, key)
    layout = calls.layout(kind, layer)
    eager = sys.modules[type(module).__module__].eager_attention_forward
    if kind == UNNAMED:
        return eager(module, query, key, value, attention_mask, **options)[0], None
    if on_vectors is not None:
        q, k, v = (one if layout is None else unfold(one, layout) for one in (query, key, value))
        on_vectors(module, kind, layer, (q, k, v))
    if layout is not None:
        output, weights = _attend_in_windows(
            eager, plan, layer, layout, module, query, key, value, attention_mask, **options
        )
    elif plan is None:
        output, weights = eager(module, query, key, value, attention_mask, **options)
    else:
        output, weights = _attend_with_edits(
            eager, plan, kind, layer, module, query, key, value, attention_mask, **options
        )
    if options.get("s_aux") is not None:
        weights = _without_sinks(weights, value, output)
    on_weights(kind, layer, weights)
    return output, None


def _attend_in_windows(
    eager: Callable[..., tuple[Tensor, Tensor]],
    plan: EditPlan | None,
    layer: int,
    layout: Tensor,
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    **options: Any,
) -> tuple[Tensor, Tensor]:
    """Eager attention within windows, its weights as maps of patch × patch; with edits on the maps themselves."""
    if plan is None:
        output, weights = eager(module, query, key, value, attention_mask, **options)
        return output, unfold_maps(weights, layout, 0.0)
    query, key, value = (unfold(one, layout) for one in (query, key, value))
    mask = unfold_mask(attention_mask, layout, query.dtype)
    output, weights = _attend_with_edits(eager, plan, "encoder", layer, module, query, key, value, mask, **options)
    return fold(output.transpose(1, 2), layout).transpose(1, 2), weights


def _without_sinks(weights: Tensor, value: Tensor, output: Tensor) -> Tensor:
    """Weights of keys as the output used them, where a family returns them before the sinks take their share.

    The share is read off the family's own output [batch, query, head, value width]. [batch, head, query, key]
    """
    if not torch.allclose(weights.sum(-1), torch.ones_like(weights[..., 0]), atol=1e-3):
        return weights
    mixed = weights @ repeat_heads(value, weights.shape[1])
    share = (output.transpose(1, 2) * mixed).sum(-1, keepdim=True) / (mixed * mixed).sum(-1, keepdim=True)
    return weights * share


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
    own_mask, extra = split_mask(attention_mask)
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


def _every_mask(*args: Any, **options: Any) -> Tensor | None:
    """The library's masks, of which none is left out."""
    mask: Tensor | None = sdpa_mask(*args, **(options | {"allow_is_causal_skip": False}))
    return mask


AttentionInterface.register(HEADLIGHT, _attend)
AttentionMaskInterface.register(HEADLIGHT, sdpa_mask)
AttentionInterface.register(HEADLIGHT_ALL_MASKS, _attend)
AttentionMaskInterface.register(HEADLIGHT_ALL_MASKS, _every_mask)
AttentionInterface.register(LIBRARY_EAGER, _attend_eagerly)
AttentionMaskInterface.register(LIBRARY_EAGER, eager_mask)
