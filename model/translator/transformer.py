"""The transformer of "Attention Is All You Need" (Vaswani et al. 2017), to be read beside the paper.

Post-norm residuals, ReLU feed-forward, one embedding shared by source, target and output (§3.4).
Shapes: b sentences in the batch, s source tokens, t target tokens, d = d_model.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from model.attention.edit_plan import placed
from model.attention.formula import attention
from model.attention.record import keep_activation
from model.positions.sinusoidal import sinusoidal

_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class Config:
    """Sizes of the model; `config.json` beside the weights."""

    vocab_size: int
    d_model: int = 256
    num_heads: int = 8
    encoder_layers: int = 3
    decoder_layers: int = 3
    d_ff: int = 1024
    max_tokens: int = 512
    dropout: float = 0.1
    pad: int = 0
    bos: int = 1
    eos: int = 2
    unk: int = 3

    def __post_init__(self) -> None:
        if self.d_model % self.num_heads or self.d_model % 2:
            raise ValueError(
                f"d_model must be even and divisible by num_heads; got {self.d_model} and {self.num_heads}"
            )


@dataclass
class Past:
    """Keys and values of what was decoded so far, so that each step computes only its own token's.

    Attributes:
        kept: (kind, layer) -> keys and values, [b, head, key, head_dim] each.
        length: how many target tokens they stand for.
    """

    kept: dict[tuple[str, int], tuple[Tensor, Tensor]] = field(default_factory=dict)
    length: int = 0


class MultiHeadAttention(nn.Module):
    """Several attentions side by side, concatenated and projected by W_O (§3.2.2)."""

    def __init__(self, config: Config, kind: str, layer: int) -> None:
        super().__init__()
        self.kind, self.layer, self.num_heads = kind, layer, config.num_heads
        self.w_q = nn.Linear(config.d_model, config.d_model)
        self.w_k = nn.Linear(config.d_model, config.d_model)
        self.w_v = nn.Linear(config.d_model, config.d_model)
        self.w_o = nn.Linear(config.d_model, config.d_model)

    def forward(self, asking: Tensor, asked: Tensor, mask: Tensor | None, past: Past | None = None) -> Tensor:
        """asking: [b, query, d]; asked: [b, key, d]; mask: bool [b or 1, 1, query or 1, key]. Returns [b, query, d]."""

        def heads(x: Tensor) -> Tensor:  # [b, token, d] -> [b, head, token, head_dim]
            return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)

        q = heads(self.w_q(asking))
        before = None if past is None else past.kept.get((self.kind, self.layer))
        if before is not None and self.kind == "cross":
            k, v = before  # the source does not change while the target grows
        else:
            k, v = heads(self.w_k(asked)), heads(self.w_v(asked))
            if before is not None:
                k, v = torch.cat([before[0], k], dim=2), torch.cat([before[1], v], dim=2)
        if past is not None:
            past.kept[self.kind, self.layer] = (k, v)
        mixed = attention(q, k, v, mask, kind=self.kind, layer=self.layer)
        return self.w_o(mixed.transpose(1, 2).flatten(-2))


class FeedForward(nn.Module):
    """max(0, x W_1 + b_1) W_2 + b_2, the same at every position (§3.3)."""

    def __init__(self, config: Config, kind: str, layer: int) -> None:
        super().__init__()
        self.kind, self.layer = kind, layer
        self.w_1 = nn.Linear(config.d_model, config.d_ff)
        self.w_2 = nn.Linear(config.d_ff, config.d_model)

    def forward(self, x: Tensor) -> Tensor:
        neurons = self.w_1(x).relu()  # [b, token, d_ff]
        keep_activation(self.kind, self.layer, neurons)
        return self.w_2(neurons)


class EncoderLayer(nn.Module):
    """Self-attention, then feed-forward; LayerNorm(x + Sublayer(x)) around each (§3.1)."""

    def __init__(self, config: Config, layer: int) -> None:
        super().__init__()
        self.self_attention = MultiHeadAttention(config, "encoder", layer)
        self.feed_forward = FeedForward(config, "encoder", layer)
        self.norm_1, self.norm_2 = nn.LayerNorm(config.d_model), nn.LayerNorm(config.d_model)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        x = self.norm_1(x + self.dropout(self.self_attention(x, x, mask)))
        return self.norm_2(x + self.dropout(self.feed_forward(x)))


class DecoderLayer(nn.Module):
    """Masked self-attention, encoder-decoder attention, feed-forward (§3.1)."""

    def __init__(self, config: Config, layer: int) -> None:
        super().__init__()
        self.self_attention = MultiHeadAttention(config, "decoder", layer)
        self.cross_attention = MultiHeadAttention(config, "cross", layer)
        self.feed_forward = FeedForward(config, "decoder", layer)
        self.norm_1, self.norm_2, self.norm_3 = (nn.LayerNorm(config.d_model) for _ in range(3))
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self, y: Tensor, memory: Tensor, causal: Tensor, source_mask: Tensor | None, past: Past | None = None
    ) -> Tensor:
        y = self.norm_1(y + self.dropout(self.self_attention(y, y, causal, past)))
        y = self.norm_2(y + self.dropout(self.cross_attention(y, memory, source_mask, past)))
        return self.norm_3(y + self.dropout(self.feed_forward(y)))


class Transformer(nn.Module):
    """Encoder-decoder transformer: source ids and target ids in, a score for every possible next token out."""

    positions: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.d_model)
        self.register_buffer(
            "positions",
            torch.from_numpy(sinusoidal(config.max_tokens, config.d_model)).float(),
            persistent=False,
        )
        self.encoder = nn.ModuleList(EncoderLayer(config, layer) for layer in range(config.encoder_layers))
        self.decoder = nn.ModuleList(DecoderLayer(config, layer) for layer in range(config.decoder_layers))
        self.dropout = nn.Dropout(config.dropout)
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
        nn.init.normal_(self.embedding.weight, std=config.d_model**-0.5)

    def embed(self, ids: Tensor, start: int = 0) -> Tensor:
        """Token embedding · √d_model + positional encoding from `start` on (§3.4, §3.5). [b, token] -> [b, token, d]"""
        positions = placed(self.positions[start : start + ids.shape[1]])
        return self.embedding(ids) * math.sqrt(self.config.d_model) + positions

    def encode(self, source: Tensor) -> tuple[list[Tensor], Tensor]:
        """source: [b, s]. Returns hidden states (embedding first, [b, s, d] each) and the padding mask [b, 1, 1, s]."""
        mask = (source != self.config.pad)[:, None, None, :]
        hidden = [self.dropout(self.embed(source))]
        for layer in self.encoder:
            hidden.append(layer(hidden[-1], mask))
        return hidden, mask

    def decode(self, target: Tensor, memory: Tensor, source_mask: Tensor, past: Past | None = None) -> list[Tensor]:
        """target: [b, t]; memory: [b, s, d]. Returns the hidden states, embedding first, [b, t, d] each.

        With a `past`, only the tokens behind it are computed, and it grows by them.
        """
        seen = 0 if past is None else past.length
        # Padding stands at the end of a target, so the causal mask alone keeps every real token from seeing it.
        shape = (target.shape[1] - seen, target.shape[1])
        causal = torch.ones(shape, dtype=torch.bool, device=target.device).tril(diagonal=seen)
        hidden = [self.dropout(self.embed(target[:, seen:], seen))]
        for layer in self.decoder:
            hidden.append(layer(hidden[-1], memory, causal[None, None], source_mask, past))
        if past is not None:
            past.length = target.shape[1]
        return hidden

    def project(self, hidden: Tensor) -> Tensor:
        """Scores over the vocabulary, by the transposed embedding. [b, t, d] -> [b, t, vocab]"""
        return hidden @ self.embedding.weight.T

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """source: [b, s]; target: [b, t], starting with bos. Returns logits [b, t, vocab]."""
        encoder_hidden, mask = self.encode(source)
        return self.project(self.decode(target, encoder_hidden[-1], mask)[-1])


@contextmanager
def unfilled() -> Iterator[None]:
    """Modules made in this block are not filled, which takes longest: what a file holds replaces their numbers."""
    names = ("kaiming_uniform_", "uniform_", "normal_", "xavier_uniform_")
    with _one_at_a_time:
        right = {name: getattr(nn.init, name) for name in names}
        try:
            for name in names:
                setattr(nn.init, name, lambda tensor, *args, **kwargs: tensor)
            yield
        finally:
            for name, function in right.items():
                setattr(nn.init, name, function)
