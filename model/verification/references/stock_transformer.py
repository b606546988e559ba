"""PyTorch's own `nn.Transformer` with a from-scratch model's weights: the independent run of a translator.

It shares no arithmetic with `model.attention`, and its positions come from the formula, so its agreement is evidence.
"""

from __future__ import annotations

import math
import threading
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.hooks import RemovableHandle

from model.attention.edit_plan import EditPlan
from model.verification.references.embedding import embed
from model.verification.references.left_out import leave_out_boxes, pass_norms


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


@dataclass(eq=False)
class StockRun:
    """What `nn.Transformer` computed, for all sentences of a batch.

    Attributes:
        logits: [batch, token, vocab]
        weights: (kind, layer) -> [batch, head, query, key]
        vectors: (kind, layer) -> query, key and value. [batch, head, token, head_dim]
        states: stack -> hidden states at each depth, the embedding first. [batch, token, d_model]
        neurons: stack -> neurons of each layer. [batch, token, d_ff]
    """

    logits: Tensor = field(default_factory=lambda: torch.empty(0))
    weights: dict[tuple[str, int], Tensor] = field(default_factory=dict)
    vectors: dict[tuple[str, int], tuple[Tensor, Tensor, Tensor]] = field(default_factory=dict)
    states: dict[str, list[Tensor]] = field(default_factory=lambda: {"encoder": [], "decoder": []})
    neurons: dict[str, list[Tensor]] = field(default_factory=lambda: {"encoder": [], "decoder": []})


def reference_weights(ours: EncoderDecoder, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """A from-scratch model's weights, by their names in `nn.Transformer`; unchanged ones are not copied."""
    weights: dict[str, Tensor] = {}
    for number, layer in enumerate(ours.encoder):
        name = f"encoder.layers.{number}"
        weights |= projection_weights(layer.self_attention, f"{name}.self_attn", dtype)
        weights |= _feed_forward_weights(layer, name, 2, dtype)
    for number, layer in enumerate(ours.decoder):
        name = f"decoder.layers.{number}"
        weights |= projection_weights(layer.self_attention, f"{name}.self_attn", dtype)
        weights |= _feed_forward_weights(layer, name, 3, dtype)
        weights |= projection_weights(layer.cross_attention, f"{name}.multihead_attn", dtype)
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


def projection_weights(ours: Any, name: str, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """One attention's weights by their names in `nn.MultiheadAttention`."""
    parts = (ours.w_q, ours.w_k, ours.w_v)
    in_projection = {
        f"{name}.in_proj_weight": torch.cat([part.weight.data for part in parts]).to(dtype),
        f"{name}.in_proj_bias": torch.cat([part.bias.data for part in parts]).to(dtype),
    }
    return in_projection | _module_weights(ours.w_o, f"{name}.out_proj", dtype)


def _feed_forward_weights(ours: Any, name: str, norms: int, dtype: torch.dtype) -> dict[str, Tensor]:
    """Weights of a layer's feed-forward part and of its `norms` layer norms, by their names in `nn.Transformer`."""
    weights = _module_weights(ours.feed_forward.w_1, f"{name}.linear1", dtype)
    weights |= _module_weights(ours.feed_forward.w_2, f"{name}.linear2", dtype)
    for number in range(1, norms + 1):
        weights |= _module_weights(getattr(ours, f"norm_{number}"), f"{name}.norm{number}", dtype)
    return weights


def _module_weights(module: nn.Module, name: str, dtype: torch.dtype) -> dict[str, Tensor]:
    """A module's weights in a number format, their names prefixed with `name`."""
    return {f"{name}.{part}": tensor.to(dtype) for part, tensor in module.state_dict().items()}


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
    ours: EncoderDecoder,
    source: Tensor,
    target: Tensor,
    plan: EditPlan | None = None,
    dtype: torch.dtype = torch.float32,
) -> StockRun:
    """One pass of `nn.Transformer` with a from-scratch model's weights.

    Args:
        source: int64 [batch, s]; target: int64 [batch, t].
        plan: edits; the reference applies them through its own weights and masks.
        dtype: the number format it runs in.
    """
    reference, numbers = _empty_reference(ours.config), reference_weights(ours, dtype)
    unedited, run = dict(numbers), StockRun()
    masks = _own_masks(ours.config.pad, source, target)
    edited_masks: dict[tuple[str, int], Tensor] = {}
    modules = _attention_modules(ours.config)
    if plan is not None:
        unedited = {name: one.clone() if "in_proj" in name else one for name, one in numbers.items()}
        for (kind, layer), name in modules.items():
            mask = apply_plan(numbers, name, ours.config.num_heads, plan, kind, layer, masks[kind])
            edited_masks[kind, layer] = mask.to(dtype)
        leave_out_boxes(numbers, modules, plan.edits)
    padding = source == ours.config.pad
    # Without padding there is no padding mask: the first one makes PyTorch import sympy, which takes a second.
    padding_mask = padding if plan is None and bool(padding.any()) else None
    embedded = embed(ours, source, plan, dtype), embed(ours, target, plan, dtype)
    for stack, states in zip(run.states, embedded, strict=True):
        run.states[stack].append(states)
    with _reference_lock, ExitStack() as hooks:
        for handle in pass_norms(reference, plan):
            hooks.callback(handle.remove)
        for call, name in modules.items():
            parts = tuple(unedited[f"{name}.in_proj_{part}"] for part in ("weight", "bias"))
            for hook in _hook_attention(reference.get_submodule(name), call, edited_masks.get(call), parts, run):
                hooks.callback(hook.remove)
        for stack, layers in (("encoder", reference.encoder.layers), ("decoder", reference.decoder.layers)):
            for layer in layers:
                for hook in _hook_layer(layer, stack, run):
                    hooks.callback(hook.remove)
        hidden: Tensor = functional_call(
            reference,
            numbers,  # fails where one is missing
            embedded,
            {
                "tgt_mask": ~masks["decoder"][0, 0],
                "src_key_padding_mask": padding_mask,
                "memory_key_padding_mask": padding_mask,
            },
            strict=True,
        )
    run.logits = nn.functional.linear(hidden, ours.embedding.weight.to(dtype))
    return run


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
    module: nn.Module,
    call: tuple[str, int],
    edited_mask: Tensor | None,
    projection: tuple[Tensor, ...],
    run: StockRun,
) -> list[RemovableHandle]:
    """Hooks that make an attention module return every head's weights, store them, and put an edited mask in.

    Args:
        projection: weight and bias, without edits, that its queries, keys and values are projected by.
    """
    options: dict[str, Any] = {"need_weights": True, "average_attn_weights": False}
    if edited_mask is not None:  # it holds padding and causality, too
        options |= {"key_padding_mask": None, "is_causal": False, "attn_mask": edited_mask}

    def set_options(
        _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return args, kwargs | options

    def store(attention: nn.Module, args: tuple[Tensor, ...], output: tuple[Tensor, Tensor]) -> None:
        run.weights[call] = output[1]
        parts = zip(args, *(one.chunk(3) for one in projection), strict=False)
        heads: Any = attention.num_heads
        query, key, value = (
            nn.functional.linear(one, weight, bias).unflatten(-1, (heads, -1)).transpose(1, 2)
            for one, weight, bias in parts
        )
        run.vectors[call] = query, key, value

    return [module.register_forward_pre_hook(set_options, with_kwargs=True), module.register_forward_hook(store)]


def _hook_layer(layer: nn.Module, stack: str, run: StockRun) -> list[RemovableHandle]:
    """Hooks that store a layer's output and its neurons."""

    def store_states(_: nn.Module, __: Any, output: Tensor) -> None:
        run.states[stack].append(output)

    def store_neurons(_: nn.Module, args: tuple[Tensor, ...]) -> None:
        run.neurons[stack].append(args[0])

    return [
        layer.register_forward_hook(store_states),
        layer.get_submodule("linear2").register_forward_pre_hook(store_neurons),
    ]
