"""The decoder of the transformer alone: it reads a text and predicts what follows, token by token.

The layers are those of the decoder of Vaswani et al. 2017 without encoder-decoder attention, made of the same blocks as
`model.translator.transformer`; `Config.encoder_layers` is 0. Shapes: b texts in the batch, t tokens, d = d_model.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor, nn

from model.translator.transformer import Config, FeedForward, KeyValueCache, MultiHeadAttention, TiedEmbedding
from model.translator.weights import read_weights


class CausalLayer(nn.Module):
    """Masked self-attention, then feed-forward; LayerNorm(x + Sublayer(x)) around each."""

    def __init__(self, config: Config, layer: int) -> None:
        super().__init__()
        self.self_attention = MultiHeadAttention(config, "decoder", layer)
        self.feed_forward = FeedForward(config, "decoder", layer)
        self.norm_1, self.norm_2 = nn.LayerNorm(config.d_model), nn.LayerNorm(config.d_model)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, causal: Tensor, past: KeyValueCache | None = None) -> Tensor:
        """x: [b, t, d]; causal: bool [1, 1, query, key]. Returns [b, t, d]"""
        x = self.norm_1(x + self.dropout(self.self_attention(x, x, causal, past)))
        return self.norm_2(x + self.dropout(self.feed_forward(x)))


class DecoderOnly(TiedEmbedding):
    """Token ids in, a score for every possible next token out, at every place."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.decoder = nn.ModuleList(CausalLayer(config, layer) for layer in range(config.decoder_layers))
        self.initialize()

    def decode(self, ids: Tensor, past: KeyValueCache | None = None) -> list[Tensor]:
        """ids: [b, t]. Returns the hidden states, embedding first, [b, t, d] each.

        With a `past`, only the tokens behind it are computed, and it grows by them.
        """
        seen = 0 if past is None else past.length
        shape = (ids.shape[1] - seen, ids.shape[1])
        causal = torch.ones(shape, dtype=torch.bool, device=ids.device).tril(diagonal=seen)
        hidden = [self.dropout(self.embed(ids[:, seen:], seen))]
        for layer in self.decoder:
            hidden.append(layer(hidden[-1], causal[None, None], past))
        if past is not None:
            past.length = ids.shape[1]
        return hidden

    def forward(self, ids: Tensor) -> Tensor:
        """ids: [b, t]. Returns logits [b, t, vocab]."""
        return self.project(self.decode(ids)[-1])

    @torch.no_grad()
    def complete(self, ids: list[int], stop: frozenset[int], most: int) -> list[int]:
        """The likeliest next token, again and again, up to one of `stop` (which is left out) or `most` tokens."""
        past, made = KeyValueCache(), torch.tensor([ids], device=self.embedding.weight.device)
        for _ in range(most):
            token = int(self.project(self.decode(made, past)[-1][:, -1]).argmax())
            if token in stop:
                break
            made = torch.cat([made, made.new_tensor([[token]])], dim=1)
        return made[0, len(ids) :].tolist()

    @classmethod
    def open(cls, folder: Path) -> DecoderOnly:
        """Read weights and config from a folder."""
        module = cls(Config(**json.loads((folder / "config.json").read_text())))
        read_weights(module, folder)
        return module.eval()
