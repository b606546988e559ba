"""The transformer of "Attention Is All You Need" (Vaswani et al. 2017), to be read beside the paper.

Post-norm residuals, ReLU feed-forward, one embedding shared by source, target and output (§3.4).
Shapes: b sentences in the batch, s source tokens, t target tokens, d = d_model. Section numbers are the paper's.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from model.attention.edit_plan import move_positions
from model.attention.formula import attention
from model.attention.record import record_neurons
from model.errors import OpeningError
from model.positions.sinusoidal import sinusoidal

_initialization_lock = threading.Lock()


@dataclass(frozen=True)
class Config:
    """Sizes of the model and ids of its special tokens; stored as `config.json` beside the weights.

    Attributes:
        usual_tokens: next to no text that the model was trained on has more tokens.
        longest_output: tokens after which an output ends; 0 is twice the source's and ten.

    Raises:
        ValueError: d_model is odd or not divisible by num_heads.
    """

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
    usual_tokens: int = 60
    longest_output: int = 0

    def __post_init__(self) -> None:
        if self.d_model % self.num_heads or self.d_model % 2:
            raise OpeningError(
                f"d_model must be even and divisible by num_heads; got {self.d_model} and {self.num_heads}"
            )


@dataclass
class KeyValueCache:
    """Keys and values of the tokens decoded so far, so that a step computes only those of its new token.

    Attributes:
        entries: (kind, layer) -> keys and values, [b, head, key, head_dim] each.
        length: number of target tokens that are cached.
    """

    entries: dict[tuple[str, int], tuple[Tensor, Tensor]] = field(default_factory=dict)
    length: int = 0


class MultiHeadAttention(nn.Module):
    """Several attention heads in parallel, concatenated and projected by W_O (§3.2.2)."""

    def __init__(self, config: Config, kind: str, layer: int) -> None:
        super().__init__()
        self.kind, self.layer, self.num_heads = kind, layer, config.num_heads
        self.w_q = nn.Linear(config.d_model, config.d_model)
        self.w_k = nn.Linear(config.d_model, config.d_model)
        self.w_v = nn.Linear(config.d_model, config.d_model)
        self.w_o = nn.Linear(config.d_model, config.d_model)

    def forward(
        self, query_input: Tensor, key_input: Tensor, mask: Tensor | None, cache: KeyValueCache | None = None
    ) -> Tensor:
        """Outputs of the attention layer. [b, query, d]

        Args:
            query_input: [b, query, d]; key_input: [b, key, d], the same tensor in self-attention.
            mask: bool [b or 1, 1, query or 1, key], True where a query may look; None allows everything.
            cache: keys and values of earlier tokens; is extended by those of `key_input`.
        """

        def heads(x: Tensor) -> Tensor:  # [b, token, d] -> [b, head, token, head_dim]
            return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)

        q = heads(self.w_q(query_input))
        before = None if cache is None else cache.entries.get((self.kind, self.layer))
        if before is not None and self.kind == "cross":
            k, v = before  # the source does not change while the target grows
        else:
            k, v = heads(self.w_k(key_input)), heads(self.w_v(key_input))
            if before is not None:
                k, v = torch.cat([before[0], k], dim=2), torch.cat([before[1], v], dim=2)
        if cache is not None:
            cache.entries[self.kind, self.layer] = (k, v)
        output = attention(q, k, v, mask, kind=self.kind, layer=self.layer)
        return self.w_o(output.transpose(1, 2).flatten(-2))


class FeedForward(nn.Module):
    """max(0, x W_1 + b_1) W_2 + b_2, the same at every position (§3.3)."""

    def __init__(self, config: Config, kind: str, layer: int) -> None:
        super().__init__()
        self.kind, self.layer = kind, layer
        self.w_1 = nn.Linear(config.d_model, config.d_ff)
        self.w_2 = nn.Linear(config.d_ff, config.d_model)

    def forward(self, x: Tensor) -> Tensor:
        neurons = self.w_1(x).relu()  # [b, token, d_ff]
        record_neurons(self.kind, self.layer, neurons)
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
        self, y: Tensor, memory: Tensor, causal: Tensor, source_mask: Tensor | None, cache: KeyValueCache | None = None
    ) -> Tensor:
        y = self.norm_1(y + self.dropout(self.self_attention(y, y, causal, cache)))
        y = self.norm_2(y + self.dropout(self.cross_attention(y, memory, source_mask, cache)))
        return self.norm_3(y + self.dropout(self.feed_forward(y)))


class TiedEmbedding(nn.Module):
    """Token embedding, positional encoding and, by the same weights, the projection to the vocabulary (§3.4, §3.5)."""

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
        self.dropout = nn.Dropout(config.dropout)

    def initialize(self) -> None:
        """Draw fresh weights: Xavier for every matrix, a deviation of 1/√d_model for the embedding."""
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
        nn.init.normal_(self.embedding.weight, std=self.config.d_model**-0.5)

    def embed(self, ids: Tensor, start: int = 0) -> Tensor:
        """Token embedding · √d_model + positional encoding (§3.4, §3.5). [b, token] -> [b, token, d]

        Args:
            start: position of the first token.
        """
        positions = move_positions(self.positions[start : start + ids.shape[1]])
        return self.embedding(ids) * math.sqrt(self.config.d_model) + positions

    def project(self, hidden: Tensor) -> Tensor:
        """Logits over the vocabulary, by the transposed embedding (§3.4). [b, t, d] -> [b, t, vocab]"""
        return hidden @ self.embedding.weight.T


class Transformer(TiedEmbedding):
    """Encoder-decoder transformer: from source and target ids to the logits of each next token."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.encoder = nn.ModuleList(EncoderLayer(config, layer) for layer in range(config.encoder_layers))
        self.decoder = nn.ModuleList(DecoderLayer(config, layer) for layer in range(config.decoder_layers))
        self.initialize()

    def encode(self, source: Tensor) -> tuple[list[Tensor], Tensor]:
        """Hidden states of the encoder, embedding first, [b, s, d] each, and the padding mask, bool [b, 1, 1, s].

        Args:
            source: int64 [b, s], padded with `config.pad`.
        """
        mask = (source != self.config.pad)[:, None, None, :]
        hidden = [self.dropout(self.embed(source))]
        for layer in self.encoder:
            hidden.append(layer(hidden[-1], mask))
        return hidden, mask

    def decode(
        self, target: Tensor, memory: Tensor, source_mask: Tensor, cache: KeyValueCache | None = None
    ) -> list[Tensor]:
        """Hidden states of the decoder, embedding first, [b, t, d] each.

        Args:
            target: int64 [b, t]; memory: the encoder's last hidden states, [b, s, d].
            source_mask: bool [b, 1, 1, s]
            cache: keys and values of the first target tokens. Only later tokens are computed and returned, and the
                cache is extended by them.
        """
        cached = 0 if cache is None else cache.length
        # Padding stands at the end of a target, so the causal mask alone keeps every real token from seeing it.
        shape = (target.shape[1] - cached, target.shape[1])
        causal = torch.ones(shape, dtype=torch.bool, device=target.device).tril(diagonal=cached)
        hidden = [self.dropout(self.embed(target[:, cached:], cached))]
        for layer in self.decoder:
            hidden.append(layer(hidden[-1], memory, causal[None, None], source_mask, cache))
        if cache is not None:
            cache.length = target.shape[1]
        return hidden

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Logits of the token after each target token. [b, t, vocab]

        Args:
            source: int64 [b, s]; target: int64 [b, t], starting with bos.
        """
        encoder_hidden, mask = self.encode(source)
        return self.project(self.decode(target, encoder_hidden[-1], mask)[-1])


@contextmanager
def skip_initialization() -> Iterator[None]:
    """Modules made in this block skip the initialization of their weights, the slowest part of making them.

    For models whose weights are loaded from a file afterwards.
    """
    names = ("kaiming_uniform_", "uniform_", "normal_", "xavier_uniform_")
    with _initialization_lock:
        original = {name: getattr(nn.init, name) for name in names}
        try:
            for name in names:
                setattr(nn.init, name, lambda tensor, *args, **kwargs: tensor)
            yield
        finally:
            for name, function in original.items():
                setattr(nn.init, name, function)
