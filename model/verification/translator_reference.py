"""Independent runs to check a trace against: for the translator PyTorch's own `nn.Transformer`, with the same weights.

Nothing of `model.attention.record`'s arithmetic is used here, so agreement means something.
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
from model.verification.tolerances import limits


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


_one_run = threading.Lock()  # all share the empty transformer that is filled for a run


def stock_numbers(ours: EncoderDecoder) -> dict[str, Tensor]:
    """Our weights, in float32, by the names that `nn.Transformer` has for them; what it has as we do is not copied."""
    weights: dict[str, Tensor] = {}
    for number, layer in enumerate(ours.encoder):
        name = f"encoder.layers.{number}"
        weights |= _attention(layer.self_attention, f"{name}.self_attn") | _feed_forward(layer, name, norms=2)
    for number, layer in enumerate(ours.decoder):
        name = f"decoder.layers.{number}"
        weights |= _attention(layer.self_attention, f"{name}.self_attn") | _feed_forward(layer, name, norms=3)
        weights |= _attention(layer.cross_attention, f"{name}.multihead_attn")
    return weights


@cache
def _empty(config: Sizes) -> nn.Transformer:
    """An `nn.Transformer` without numbers, made once: making one with its own takes longer than its run."""
    with torch.device("meta"):
        stock = nn.Transformer(
            config.d_model,
            config.num_heads,
            config.encoder_layers,
            config.decoder_layers,
            config.d_ff,
            dropout=0.0,
            batch_first=True,
        )
    # nn.Transformer ends each stack with one more layer norm; the paper does not.
    stock.encoder.norm = stock.decoder.norm = None
    # Training mode with dropout 0: in eval mode nn.TransformerEncoder takes a fused path that skips hooks.
    return stock.train()


def _attention(ours: Any, name: str) -> dict[str, Tensor]:
    parts = (ours.w_q, ours.w_k, ours.w_v)
    joined = {
        f"{name}.in_proj_weight": torch.cat([part.weight.data for part in parts]).float(),
        f"{name}.in_proj_bias": torch.cat([part.bias.data for part in parts]).float(),
    }
    return joined | _named(ours.w_o, f"{name}.out_proj")


def _feed_forward(ours: Any, name: str, norms: int) -> dict[str, Tensor]:
    found = _named(ours.feed_forward.w_1, f"{name}.linear1") | _named(ours.feed_forward.w_2, f"{name}.linear2")
    for number in range(1, norms + 1):
        found |= _named(getattr(ours, f"norm_{number}"), f"{name}.norm{number}")
    return found


def _named(module: nn.Module, name: str) -> dict[str, Tensor]:
    return {f"{name}.{part}": tensor.float() for part, tensor in module.state_dict().items()}


def _edit(
    weights: dict[str, Tensor], name: str, heads: int, plan: EditPlan, kind: str, layer: int, own: Tensor
) -> Tensor:
    """Bring edits into a stock layer: through its projections, and a mask that holds the logarithm of what is forced.

    Args:
        weights: as `stock_numbers` has them; name: of the layer among them.
        own: bool [batch, 1, query, key], the mask without edits.

    Returns:
        A mask to add to the scores, [batch * head, query, key].
    """
    weight, bias, output = (f"{name}.{part}" for part in ("in_proj_weight", "in_proj_bias", "out_proj.weight"))
    dim = weights[output].shape[1] // heads
    allowed = plan.allowed(kind, layer, own)
    added = torch.zeros(allowed.shape, device=own.device).masked_fill(~allowed, -math.inf).repeat(1, heads, 1, 1)
    weights[weight][: heads * dim] *= plan.sharpness(kind)
    weights[bias][: heads * dim] *= plan.sharpness(kind)
    for head, given in plan.forced(kind, layer, heads, allowed, own.shape[-1]).items():
        rows = slice(head * dim, (head + 1) * dim)
        weights[weight][rows] = 0  # no query, so the scores are 0 and the mask alone decides
        weights[bias][rows] = 0
        added[:, head] = given.log()
    factors = plan.factors(kind, layer, heads)
    if factors is not None:
        wide = torch.tensor(factors[0], device=own.device).repeat_interleave(dim)
        weights[output] = weights[output] * wide  # not in place: it is our model's, too
    return added.flatten(0, 1)


@torch.no_grad()
def stock_run(
    ours: EncoderDecoder, source: Tensor, target: Tensor, plan: EditPlan | None = None
) -> tuple[Tensor, dict[tuple[str, int], Tensor]]:
    """Logits and every head's weights, from `nn.Transformer`.

    Args:
        source: int64 [batch, s]; target: int64 [batch, t].
        plan: edits; the stock run reaches the same by other means, through its own weights and masks.

    Returns:
        logits [batch, t, vocab]; (kind, layer) -> weights [batch, head, query, key].
    """
    stock, numbers = _empty(ours.config), stock_numbers(ours)
    weights: dict[tuple[str, int], Tensor] = {}
    padding = source == ours.config.pad
    later = torch.ones(target.shape[1], target.shape[1], dtype=torch.bool, device=target.device).triu(1)
    real = ~padding[:, None, None, :]  # [batch, 1, 1, key]
    own = {
        "encoder": real.expand(-1, 1, source.shape[1], -1),
        "decoder": ~later.expand(len(target), 1, -1, -1),
        "cross": real.expand(-1, 1, target.shape[1], -1),
    }

    def watch(name: str, kind: str, layer: int) -> list[RemovableHandle]:
        heads = ours.config.num_heads
        changed = {} if plan is None else {"attn_mask": _edit(numbers, name, heads, plan, kind, layer, own[kind])}

        def ask(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
            alone = {"key_padding_mask": None, "is_causal": False} if changed else {}  # the edited mask holds all
            return args, kwargs | {"need_weights": True, "average_attn_weights": False} | alone | changed

        def keep(_: nn.Module, __: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
            weights[kind, layer] = output[1]

        module = stock.get_submodule(name)
        return [module.register_forward_pre_hook(ask, with_kwargs=True), module.register_forward_hook(keep)]

    embeddings = ours.embedding.weight.float()

    def embed(ids: Tensor) -> Tensor:
        scaled = nn.functional.embedding(ids, embeddings) * math.sqrt(ours.config.d_model)
        places = None if plan is None else plan.places(ids.shape[1])
        return scaled + ours.positions.float()[torch.arange(ids.shape[1]) if places is None else places]

    # Without padding PyTorch need not look at it, which the first time takes a second: it imports sympy for that.
    unseen = padding if plan is None and bool(padding.any()) else None
    with _one_run, ExitStack() as after:
        for kind, name in (
            ("encoder", "encoder.layers.{}.self_attn"),
            ("decoder", "decoder.layers.{}.self_attn"),
            ("cross", "decoder.layers.{}.multihead_attn"),
        ):
            for layer in range(ours.config.encoder_layers if kind == "encoder" else ours.config.decoder_layers):
                for hook in watch(name.format(layer), kind, layer):
                    after.callback(hook.remove)
        hidden: Tensor = functional_call(
            stock,
            numbers,  # fails where one is missing
            (embed(source), embed(target)),
            {"tgt_mask": later, "src_key_padding_mask": unseen, "memory_key_padding_mask": unseen},
            strict=True,
        )
    return nn.functional.linear(hidden, embeddings), weights


def check(
    ours: EncoderDecoder, source: Tensor, target: Tensor, kept: Record, logits: Tensor, row: int, plan: EditPlan | None
) -> Check:
    """Compare one sentence of a batch with the stock run.

    Args:
        kept: what the attention calls of our run left behind; logits: what it answered. [batch, t, vocab]
    """
    stock_logits, stock_weights = stock_run(ours, source, target, plan)
    weight_error, sum_error, leaked = [], [], []
    for (kind, layer), expected in stock_weights.items():
        call = kept.call(kind, layer, row)
        weights = call.weights_tensor()
        weight_error.append((weights - expected[row]).abs().max().item())
        sum_error.append((weights.sum(-1) - 1).abs().max().item())
        leaked.append(weights.masked_fill(call.allowed, 0).max().item())
    weight_limit, logit_limit = limits(logits.dtype, stock_logits)
    return Check(
        max_weight_error=float(np.max(weight_error)),
        max_row_sum_error=float(np.max(sum_error)),
        leaked_mass=float(np.max(leaked)),
        max_logit_error=(logits[row] - stock_logits[row]).abs().max().item(),
        tolerance=weight_limit,
        logit_tolerance=logit_limit,
        how="torch.nn.Transformer with the same weights, run on the same tokens",
    )
