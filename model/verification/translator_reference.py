"""Verification of a translator's trace against PyTorch's own `nn.Transformer` with the same weights.

The reference shares no arithmetic with `model.attention`, so its agreement is independent evidence.
"""

from __future__ import annotations

import math
import threading
from contextlib import ExitStack
from functools import cache
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.hooks import RemovableHandle

from model.attention.edit_plan import EditPlan
from model.attention.record import Record
from model.trace.check import Check
from model.verification.tolerances import error_limits


class Sizes(Protocol):
    """Sizes of a from-scratch transformer; `model.translator.transformer.Config` has them."""

    @property
    def d_model(self) -> int: ...

    @property
    def num_heads(self) -> int: ...

    @property
    def encoder_layers(self) -> int: ...

    @property
    def decoder_layers(self) -> int: ...

    @property
    def d_ff(self) -> int: ...

    @property
    def pad(self) -> int: ...


class EncoderDecoder(Protocol):
    """A from-scratch encoder-decoder; `model.translator.transformer.Transformer` is one."""

    config: Any  # has what `Sizes` names
    encoder: Any
    decoder: Any
    embedding: Any
    positions: Any


_reference_lock = threading.Lock()  # all threads share the empty module that a run fills with hooks


def reference_weights(ours: EncoderDecoder) -> dict[str, Tensor]:
    """A from-scratch model's weights in float32, by their names in `nn.Transformer`; unchanged ones are not copied."""
    weights: dict[str, Tensor] = {}
    for number, layer in enumerate(ours.encoder):
        name = f"encoder.layers.{number}"
        weights |= projection_weights(layer.self_attention, f"{name}.self_attn")
        weights |= _feed_forward_weights(layer, name, norms=2)
    for number, layer in enumerate(ours.decoder):
        name = f"decoder.layers.{number}"
        weights |= projection_weights(layer.self_attention, f"{name}.self_attn")
        weights |= _feed_forward_weights(layer, name, norms=3)
        weights |= projection_weights(layer.cross_attention, f"{name}.multihead_attn")
    return weights


@cache
def _empty_reference(config: Sizes) -> nn.Transformer:
    """An `nn.Transformer` on the meta device, made once: initializing its weights takes longer than a run."""
    with torch.device("meta"):
        reference = nn.Transformer(
            config.d_model,
            config.num_heads,
            config.encoder_layers,
            config.decoder_layers,
            config.d_ff,
            dropout=0.0,
            batch_first=True,
        )
    # nn.Transformer ends each stack with one more layer norm; the paper does not.
    reference.encoder.norm = reference.decoder.norm = None
    # Training mode with dropout 0: in eval mode nn.TransformerEncoder takes a fused path that skips hooks.
    return reference.train()


def projection_weights(ours: Any, name: str) -> dict[str, Tensor]:
    """One attention's weights by their names in `nn.MultiheadAttention`."""
    parts = (ours.w_q, ours.w_k, ours.w_v)
    in_projection = {
        f"{name}.in_proj_weight": torch.cat([part.weight.data for part in parts]).float(),
        f"{name}.in_proj_bias": torch.cat([part.bias.data for part in parts]).float(),
    }
    return in_projection | _module_weights(ours.w_o, f"{name}.out_proj")


def _feed_forward_weights(ours: Any, name: str, norms: int) -> dict[str, Tensor]:
    """Weights of a layer's feed-forward part and of its `norms` layer norms, by their names in `nn.Transformer`."""
    weights = _module_weights(ours.feed_forward.w_1, f"{name}.linear1")
    weights |= _module_weights(ours.feed_forward.w_2, f"{name}.linear2")
    for number in range(1, norms + 1):
        weights |= _module_weights(getattr(ours, f"norm_{number}"), f"{name}.norm{number}")
    return weights


def _module_weights(module: nn.Module, name: str) -> dict[str, Tensor]:
    """A module's weights in float32, their names prefixed with `name`."""
    return {f"{name}.{part}": tensor.float() for part, tensor in module.state_dict().items()}


def apply_plan(
    weights: dict[str, Tensor], name: str, heads: int, plan: EditPlan, kind: str, layer: int, own_mask: Tensor
) -> Tensor:
    """Apply edits to a reference layer, through its projections and an additive mask with the log of forced weights.

    Args:
        weights: from `reference_weights`; changed in place.
        name: of the layer's attention in `weights`.
        own_mask: bool [batch, 1, query, key], the mask without edits.

    Returns:
        A mask to add to the scores. [batch · head, query, key]
    """
    weight, bias, output = (f"{name}.{part}" for part in ("in_proj_weight", "in_proj_bias", "out_proj.weight"))
    dim = weights[output].shape[1] // heads
    allowed = plan.edited_mask(kind, layer, own_mask)
    mask = torch.zeros(allowed.shape, device=own_mask.device).masked_fill(~allowed, -math.inf).repeat(1, heads, 1, 1)
    weights[weight][: heads * dim] *= plan.score_factor(kind)
    weights[bias][: heads * dim] *= plan.score_factor(kind)
    for head, forced in plan.forced_weights(kind, layer, heads, allowed, own_mask.shape[-1]).items():
        rows = slice(head * dim, (head + 1) * dim)
        weights[weight][rows] = 0  # without a query the scores are 0, and the mask alone sets the weights
        weights[bias][rows] = 0
        mask[:, head] = forced.log()
    factors = plan.head_factors(kind, layer, heads)
    if factors is not None:
        column_factors = torch.tensor(factors[0], device=own_mask.device).repeat_interleave(dim)
        weights[output] = weights[output] * column_factors  # a new tensor: this one belongs to the traced model
    return mask.flatten(0, 1)


@torch.no_grad()
def run_reference(
    ours: EncoderDecoder, source: Tensor, target: Tensor, plan: EditPlan | None = None
) -> tuple[Tensor, dict[tuple[str, int], Tensor]]:
    """Logits and every head's weights, computed by `nn.Transformer`.

    Args:
        source: int64 [batch, s]; target: int64 [batch, t].
        plan: edits; the reference applies them through its own weights and masks.

    Returns:
        logits [batch, t, vocab]; (kind, layer) -> weights [batch, head, query, key].
    """
    reference, numbers = _empty_reference(ours.config), reference_weights(ours)
    attention_weights: dict[tuple[str, int], Tensor] = {}
    masks = _own_masks(ours.config.pad, source, target)
    edited_masks: dict[tuple[str, int], Tensor] = {}
    modules = _attention_modules(ours.config)
    if plan is not None:
        for (kind, layer), name in modules.items():
            edited_masks[kind, layer] = apply_plan(numbers, name, ours.config.num_heads, plan, kind, layer, masks[kind])
    padding = source == ours.config.pad
    # Without padding there is no padding mask: the first one makes PyTorch import sympy, which takes a second.
    padding_mask = padding if plan is None and bool(padding.any()) else None
    with _reference_lock, ExitStack() as hooks:
        for call, name in modules.items():
            for hook in _hook_attention(reference.get_submodule(name), call, edited_masks.get(call), attention_weights):
                hooks.callback(hook.remove)
        hidden: Tensor = functional_call(
            reference,
            numbers,  # fails where one is missing
            (_embed(ours, source, plan), _embed(ours, target, plan)),
            {
                "tgt_mask": ~masks["decoder"][0, 0],
                "src_key_padding_mask": padding_mask,
                "memory_key_padding_mask": padding_mask,
            },
            strict=True,
        )
    return nn.functional.linear(hidden, ours.embedding.weight.float()), attention_weights


def _own_masks(pad: int, source: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Kind -> the mask without edits, True where a query may look. bool [batch, 1, query, key]"""
    real = (source != pad)[:, None, None, :]  # [batch, 1, 1, key]
    causal = torch.ones(target.shape[1], target.shape[1], dtype=torch.bool, device=target.device).tril()
    return {
        "encoder": real.expand(-1, 1, source.shape[1], -1),
        "decoder": causal.expand(len(target), 1, -1, -1),
        "cross": real.expand(-1, 1, target.shape[1], -1),
    }


def _attention_modules(config: Sizes) -> dict[tuple[str, int], str]:
    """(kind, layer) -> the name of that attention's module in `nn.Transformer`."""
    names = {"encoder": "encoder.layers.{}.self_attn", "decoder": "decoder.layers.{}.self_attn"}
    names["cross"] = "decoder.layers.{}.multihead_attn"
    depths = {"encoder": config.encoder_layers, "decoder": config.decoder_layers, "cross": config.decoder_layers}
    return {(kind, layer): name.format(layer) for kind, name in names.items() for layer in range(depths[kind])}


def _hook_attention(
    module: nn.Module, call: tuple[str, int], edited_mask: Tensor | None, weights: dict[tuple[str, int], Tensor]
) -> list[RemovableHandle]:
    """Hooks that make an attention module return every head's weights, store them, and put an edited mask in."""
    options: dict[str, Any] = {"need_weights": True, "average_attn_weights": False}
    if edited_mask is not None:  # it holds padding and causality, too
        options |= {"key_padding_mask": None, "is_causal": False, "attn_mask": edited_mask}

    def set_options(
        _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return args, kwargs | options

    def store_weights(_: nn.Module, __: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        weights[call] = output[1]

    return [
        module.register_forward_pre_hook(set_options, with_kwargs=True),
        module.register_forward_hook(store_weights),
    ]


def _embed(ours: EncoderDecoder, ids: Tensor, plan: EditPlan | None) -> Tensor:
    """Scaled embeddings with positions. [batch, token] -> float32 [batch, token, d_model]"""
    scaled = nn.functional.embedding(ids, ours.embedding.weight.float()) * math.sqrt(ours.config.d_model)
    order = None if plan is None else plan.position_order(ids.shape[1])
    return scaled + ours.positions.float()[torch.arange(ids.shape[1]) if order is None else order]


def verify(
    ours: EncoderDecoder,
    source: Tensor,
    target: Tensor,
    record: Record,
    logits: Tensor,
    row: int,
    plan: EditPlan | None,
) -> Check:
    """Largest differences between one sentence of a traced batch and the reference run of it.

    Args:
        source: int64 [batch, s]; target: int64 [batch, t].
        record: the attention calls of the traced pass; logits: its logits. [batch, t, vocab]
        row: index of the sentence in the batch.
        plan: the edits of the traced pass.
    """
    expected_logits, expected_weights = run_reference(ours, source, target, plan)
    weight_error, sum_error, leaked = [], [], []
    for (kind, layer), expected in expected_weights.items():
        call = record.call(kind, layer, row)
        weights = call.weights_tensor()
        weight_error.append((weights - expected[row]).abs().max().item())
        sum_error.append((weights.sum(-1) - 1).abs().max().item())
        leaked.append(weights.masked_fill(call.allowed, 0).max().item())
    weight_limit, logit_limit = error_limits(logits.dtype, expected_logits)
    return Check(
        max_weight_error=float(np.max(weight_error)),
        max_row_sum_error=float(np.max(sum_error)),
        leaked_mass=float(np.max(leaked)),
        max_logit_error=(logits[row] - expected_logits[row]).abs().max().item(),
        tolerance=weight_limit,
        logit_tolerance=logit_limit,
        how="torch.nn.Transformer with the same weights, run on the same tokens",
    )
