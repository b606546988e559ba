"""What text recipes share: pairs of a table, splits without leaks, batches of like length, saved weights."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import Tensor, nn

Pair = tuple[str, str]
Ids = Sequence[int]


def words_of(text: str) -> list[str]:
    """The words of a text, without case and punctuation."""
    return re.sub(r"[\W_]+", " ", text.casefold()).split()


def grouped_split(
    rows: Sequence[Pair], keys: Callable[[Pair], Iterable[str]], sizes: dict[str, int], seed: int
) -> dict[str, list[Pair]]:
    """Parts that share no key: rows with a key in common, directly or over other rows, stay together.

    Args:
        keys: the keys of a row.
        sizes: part -> about how many rows, filled in this order; what is left is "train".
    """
    parent: dict[str, str] = {}

    def root(key: str) -> str:
        while parent.setdefault(key, key) != key:
            parent[key] = key = parent[parent[key]]
        return key

    firsts = []
    for row in rows:
        first, *others = keys(row)
        firsts.append(first)
        for other in others:
            parent[root(other)] = root(first)
        root(first)
    groups: dict[str, list[Pair]] = {}
    for row, first in zip(rows, firsts, strict=True):
        groups.setdefault(root(first), []).append(row)
    order = sorted(groups)
    random.Random(seed).shuffle(order)
    parts: dict[str, list[Pair]] = {name: [] for name in (*sizes, "train")}
    for key in order:
        # A group that is larger than a part's share would decide its figures alone.
        open_parts = [name for name, size in sizes.items() if len(parts[name]) < size and len(groups[key]) <= size / 50]
        parts[open_parts[0] if open_parts else "train"] += groups[key]
    return parts


def like_length(lengths: Sequence[tuple[int, int]], tokens: int, rng: random.Random | None) -> list[list[int]]:
    """Indices in groups whose padded size, both sides together, is at most `tokens`; shuffled where there is an rng.

    Args:
        lengths: tokens of source and target of each example, marks included.
    """
    order = sorted(range(len(lengths)), key=lambda i: (*lengths[i], rng.random() if rng else 0.0))
    groups: list[list[int]] = []
    wide = deep = 0
    for i in order:
        wide, deep = max(wide, lengths[i][0]), max(deep, lengths[i][1])
        if not groups or (len(groups[-1]) + 1) * (wide + deep) > tokens:
            groups.append([])
            wide, deep = lengths[i]
        groups[-1].append(i)
    if rng:
        rng.shuffle(groups)
    return groups


def padded(rows: Sequence[Ids], pad: int = 0) -> Tensor:
    """Rows of ids as one tensor, padded at the end. int64 [row, token]"""
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[pad] * (longest - len(row))] for row in rows])


def pair_batches(
    examples: Sequence[tuple[Ids, Ids]], config: Any, tokens: int, rng: random.Random | None
) -> list[tuple[Tensor, ...]]:
    """Batches of source and target ids.

    Returns:
        source int64 [batch, s], ending with eos; target int64 [batch, t + 1], from bos to eos; both padded at the end.
    """
    lengths = [(len(source) + 1, len(target) + 2) for source, target in examples]
    return [
        (
            padded([[*examples[i][0], config.eos] for i in group], config.pad),
            padded([[config.bos, *examples[i][1], config.eos] for i in group], config.pad),
        )
        for group in like_length(lengths, tokens, rng)
    ]


def save(module: nn.Module, tokenizer: Tokenizer, folder: Path) -> None:
    """Write half-precision weights, tokenizer and config.

    Raises:
        ValueError: a weight is too large for half precision.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().cpu().half().contiguous() for name, tensor in module.state_dict().items()}
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise ValueError(f"{name} does not fit into half precision")
    save_file(tensors, folder / "model.safetensors")
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text(json.dumps(asdict(module.config), indent=2) + "\n")  # type: ignore[call-overload]
