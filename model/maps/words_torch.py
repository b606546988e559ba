"""Attention between words, summed on the device that holds the maps between their pieces."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from model.arrays.torch_to_numpy import to_numpy
from model.arrays.types import Array
from model.maps import pooling_torch
from model.maps.layer_maps import WordLayer
from model.trace.recorded_layer import LayerOverview, WordPieces


@dataclass(frozen=True, eq=False)
class WordLayerTorch(WordLayer):
    """A `WordLayer` that is computed in PyTorch on the device of the `RecordedCall` that it wraps."""

    layer: Any

    @property
    def parallel_layers(self) -> int:
        return 1  # one device computes one layer after the other

    @property
    def allowed(self) -> Tensor:
        """True where any piece of a word may look at any piece of another. bool [query word, key word]"""
        return self._sum_pieces(self.layer.allowed.float()) > 0

    def weights_tensor(self) -> Tensor:
        """Weights on the device. [head, query word, key word]"""
        sizes = torch.tensor([[len(word)] for word in self.queries], device=self.layer.query.device)
        return self._sum_pieces(self.layer.weights_tensor()) / sizes

    def weights(self) -> Array:
        return to_numpy(self.weights_tensor())

    def array(self, name: str) -> Array:
        return to_numpy(self.allowed) if name == "allowed" else super().array(name)

    def pooled(self, head: int | None, queries: Sequence[int], keys: Sequence[int], shape: tuple[int, int]) -> Array:
        heads = range(self.shape[0]) if head is None else range(head, head + 1)
        return pooling_torch.pooled(self.select(heads, queries), keys, shape)

    def strongest(
        self, head: int, queries: Sequence[int], keys: Sequence[int], count: int
    ) -> tuple[Array, Array, Array]:
        return pooling_torch.strongest(self.select(range(head, head + 1), queries), keys, count)

    def overview(self, side: int) -> LayerOverview:
        weights = self.weights_tensor()
        entropy = torch.special.entr(weights).sum(dim=-1).mean(dim=-1) / math.log(2)
        return pooling_torch.overview(weights, entropy, self.allowed, side)

    def _sum_pieces(self, cells: Tensor) -> Tensor:
        """Sums over the pieces of words. [..., query piece, key piece] -> [..., query word, key word]"""
        return self._membership(self.queries, cells) @ cells @ self._membership(self.keys, cells).T

    def _membership(self, words: WordPieces, like: Tensor) -> Tensor:
        """1 where a piece belongs to a word, in the number format and on the device of `like`. [word, piece]"""
        word_of_piece = np.repeat(np.arange(len(words)), [len(word) for word in words])
        matrix = torch.zeros(len(words), len(word_of_piece), dtype=like.dtype, device=like.device)
        matrix[
            torch.tensor(word_of_piece, device=like.device), torch.arange(len(word_of_piece), device=like.device)
        ] = 1
        return matrix
