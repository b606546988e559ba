"""Independent runs to check a trace against: for the translator PyTorch's own `nn.Transformer`, with the same weights.

Nothing of `model.attention` is used here, so agreement means something.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn

from model.transformer import Transformer


def stock_transformer(ours: Transformer) -> nn.Transformer:
    """A plain `nn.Transformer` that holds a copy of our weights."""
    config = ours.config
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
    for theirs, layer in zip(stock.encoder.layers, ours.encoder, strict=True):
        _copy(layer.self_attention, theirs.self_attn)
        _copy_feed_forward(layer, theirs, norms=2)
    for theirs, layer in zip(stock.decoder.layers, ours.decoder, strict=True):
        _copy(layer.self_attention, theirs.self_attn)
        _copy(layer.cross_attention, theirs.multihead_attn)
        _copy_feed_forward(layer, theirs, norms=3)
    # Training mode with dropout 0: in eval mode nn.TransformerEncoder takes a fused path that skips hooks.
    return stock.to(next(ours.parameters()).device).train()


def _copy(ours: Any, theirs: nn.MultiheadAttention) -> None:
    parts = (ours.w_q, ours.w_k, ours.w_v)
    theirs.in_proj_weight.data = torch.cat([part.weight.data for part in parts])
    theirs.in_proj_bias.data = torch.cat([part.bias.data for part in parts])
    theirs.out_proj.load_state_dict(ours.w_o.state_dict())


def _copy_feed_forward(ours: Any, theirs: Any, norms: int) -> None:
    theirs.linear1.load_state_dict(ours.feed_forward.w_1.state_dict())
    theirs.linear2.load_state_dict(ours.feed_forward.w_2.state_dict())
    for number in range(1, norms + 1):
        getattr(theirs, f"norm{number}").load_state_dict(getattr(ours, f"norm_{number}").state_dict())


@torch.no_grad()
def stock_run(ours: Transformer, source: Tensor, target: Tensor) -> tuple[Tensor, dict[tuple[str, int], Tensor]]:
    """Logits and every head's weights, from `nn.Transformer`.

    Args:
        source: int64 [batch, s]; target: int64 [batch, t].

    Returns:
        logits [batch, t, vocab]; (kind, layer) -> weights [batch, head, query, key].
    """
    stock = stock_transformer(ours)
    weights: dict[tuple[str, int], Tensor] = {}

    def watch(module: nn.MultiheadAttention, kind: str, layer: int) -> None:
        def ask(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
            return args, kwargs | {"need_weights": True, "average_attn_weights": False}

        def keep(_: nn.Module, __: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
            weights[kind, layer] = output[1]

        module.register_forward_pre_hook(ask, with_kwargs=True)
        module.register_forward_hook(keep)

    for layer, module in enumerate(stock.encoder.layers):
        watch(module.self_attn, "encoder", layer)
    for layer, module in enumerate(stock.decoder.layers):
        watch(module.self_attn, "decoder", layer)
        watch(module.multihead_attn, "cross", layer)

    def embed(ids: Tensor) -> Tensor:
        scaled = nn.functional.embedding(ids, ours.embedding.weight) * math.sqrt(ours.config.d_model)
        return scaled + ours.positions[: ids.shape[1]]

    padding = source == ours.config.pad
    later = torch.ones(target.shape[1], target.shape[1], dtype=torch.bool, device=target.device).triu(1)
    hidden = stock(
        embed(source),
        embed(target),
        tgt_mask=later,
        src_key_padding_mask=padding,
        memory_key_padding_mask=padding,
    )
    return nn.functional.linear(hidden, ours.embedding.weight), weights


def shallow_copy(module: nn.Module) -> Any:
    """A copy of a model that shares all its tensors, so that it can run another attention without more memory."""
    shared: dict[int, Any] = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}
    return copy.deepcopy(module, shared)
