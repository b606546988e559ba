"""What the recipes that turn one text into another share: tokenizer, loss, validation loss, saved weights."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor, nn

from model.training.data.text import Ids, Pair, pair_batches, save
from model.training.data.tokenizer_training import train_tokenizer
from model.training.loop import Batch
from model.translator.transformer import Config, Transformer


def tokenizer_of(args: argparse.Namespace, pairs: Sequence[Pair]) -> Tokenizer:
    """The tokenizer in `args.out`, of a run that is going on; a new one is trained on both sides and written there."""
    file = args.out / "tokenizer.json"
    if file.exists():
        return Tokenizer.from_file(str(file))
    tokenizer = train_tokenizer([side for pair in pairs for side in pair], args.vocab_size)
    tokenizer.save(str(file))
    return tokenizer


def smoothed_loss(model: Transformer, source: Tensor, target: Tensor, smoothing: float) -> Tensor:
    """Mean cross-entropy per target token, in nats, with label smoothing (Vaswani et al. 2017, §5.4).

    Args:
        source: int64 [batch, s]; target: int64 [batch, t + 1], from bos to eos. Padding is left out of the mean.
        smoothing: share of the probability that is spread over all tokens.
    """
    hidden, mask = model.encode(source)
    decoded = model.decode(target[:, :-1], hidden[-1], mask)[-1]
    labels = target[:, 1:]
    real = labels != model.config.pad
    logits = model.project(decoded[real])  # [token, vocab]
    return F.cross_entropy(logits.float(), labels[real], label_smoothing=smoothing)


class PairRecipe:
    """Loss and files of a model that reads one text of a pair and writes the other; args: as `main` reads them."""

    short = True

    def __init__(
        self, parts: dict[str, list[Pair]], tokenizer: Tokenizer, config: Config, args: argparse.Namespace
    ) -> None:
        self.parts, self.tokenizer, self.config, self.args = parts, tokenizer, config, args

    def loss(self, module: nn.Module, batch: Batch) -> Tensor:
        assert isinstance(module, Transformer)
        source, target = batch
        return smoothed_loss(module, source, target, self.args.smoothing)

    def validation_loss(self, module: Transformer, examples: Sequence[tuple[Ids, Ids]]) -> float:
        """Mean over batches of the cross-entropy per target token, in nats, without smoothing."""
        device = next(module.parameters()).device
        batches = pair_batches(examples, self.config, self.args.tokens, None)
        losses = [smoothed_loss(module, source.to(device), target.to(device), 0.0).item() for source, target in batches]
        return sum(losses) / len(losses)

    def save(self, module: nn.Module, folder: Path) -> None:
        save(module, self.tokenizer, folder)
