"""Small random modules that attend in the ways that people write it."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTH, HEADS = 16, 4


class Block(nn.Module):
    """Pre-norm self-attention, or cross-attention where a context is given, around `attend`."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        self.to_q, self.to_kv, self.to_out = (nn.Linear(WIDTH, n * WIDTH) for n in (1, 2, 1))

    def forward(self, x: Tensor, context: Tensor | None = None, **options: Any) -> Tensor:
        source = self.norm(x) if context is None else context  # the norm runs twice, as in some blocks
        query = self.to_q(self.norm(x))
        key, value = self.to_kv(source).chunk(2, dim=-1)
        q, k, v = (one.unflatten(-1, (HEADS, -1)).transpose(1, 2) for one in (query, key, value))
        return x + self.to_out(self.attend(q, k, v, **options).transpose(1, 2).flatten(2))

    def attend(self, q: Tensor, k: Tensor, v: Tensor, **options: Any) -> Tensor:
        return F.scaled_dot_product_attention(q, k, v, **options)


class HandWritten(Block):
    """The same with a softmax of its own; keeps the weights that it computed."""

    def attend(self, q: Tensor, k: Tensor, v: Tensor, **options: Any) -> Tensor:
        scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
        if options.get("is_causal"):
            scores = scores.masked_fill(~torch.ones(scores.shape[-2:]).tril().bool(), -1e9)
        self.weights = torch.softmax(scores, dim=-1)
        return F.dropout(self.weights, 0.5, self.training) @ v


class Einsum(Block):
    def attend(self, q: Tensor, k: Tensor, v: Tensor, **options: Any) -> Tensor:
        self.weights = torch.einsum("bhqd,bhkd->bhqk", q, k).softmax(-1)
        return torch.einsum("bhqk,bhkd->bhqd", self.weights, v)


class Unseen(Block):
    """A softmax that is written out as well."""

    def attend(self, q: Tensor, k: Tensor, v: Tensor, **options: Any) -> Tensor:
        exponentials = (q @ k.transpose(-2, -1)).exp()
        return exponentials / exponentials.sum(-1, keepdim=True) @ v


class EncoderDecoder(nn.Module):
    """Two encoder and two decoder layers of blocks."""

    def __init__(self, block: type[Block] = Block) -> None:
        super().__init__()
        self.encoder, self.decoder, self.cross = (nn.ModuleList(block() for _ in range(2)) for _ in range(3))
        self.feed_forward = nn.ModuleList(
            nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH)) for _ in range(2)
        )

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        for layer, feed_forward in zip(self.encoder, self.feed_forward, strict=True):
            source = layer(source)
            source = source + feed_forward(source)
        for layer, cross in zip(self.decoder, self.cross, strict=True):
            target = cross(layer(target, is_causal=True), source)
        return target
