"""Attention between words, summed up on the device that the pieces' maps are on."""

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
from model.trace.recorded_layer import LayerOverview, Words


@dataclass(frozen=True, eq=False)
class WordLayerTorch(WordLayer):
    """Attention between words, summed on the device that a `RecordedCall` is on."""

    layer: Any

    @property
    def at_once(self) -> int:
        return 1  # on a GPU they would queue up

    @property
    def allowed(self) -> Tensor:
        """bool [query word, key word]"""
        return self._joined_there(self.layer.allowed.float()) > 0

    def weights_tensor(self) -> Tensor:
        """[head, query word, key word]"""
        sizes = torch.tensor([[len(word)] for word in self.queries], device=self.layer.query.device)
        return self._joined_there(self.layer.weights_tensor()) / sizes

    def weights(self) -> Array:
        return to_numpy(self.weights_tensor())

    def array(self, name: str) -> Array:
        return to_numpy(self.allowed) if name == "allowed" else super().array(name)

    def drawn(self, head: int | None, queries: Sequence[int], keys: Sequence[int], shape: tuple[int, int]) -> Array:
        heads = range(self.shape[0]) if head is None else range(head, head + 1)
        return pooling_torch.drawn(self.part(heads, queries), keys, shape)

    def strongest(
        self, head: int, queries: Sequence[int], keys: Sequence[int], count: int
    ) -> tuple[Array, Array, Array]:
        return pooling_torch.strongest(self.part(range(head, head + 1), queries), keys, count)

    def overview(self, side: int) -> LayerOverview:
        weights = self.weights_tensor()
        entropy = torch.special.entr(weights).sum(dim=-1).mean(dim=-1) / math.log(2)
        return pooling_torch.overview(weights, entropy, self.allowed, side)

    def _joined_there(self, cells: Tensor) -> Tensor:
        """Sums over the pieces of words. [..., query piece, key piece] -> [..., query word, key word]"""
        return self._pieces(self.queries, cells) @ cells @ self._pieces(self.keys, cells).T

    def _pieces(self, words: Words, cells: Tensor) -> Tensor:
        """1 where a word has a piece. [word, piece]"""
        places = np.repeat(np.arange(len(words)), [len(word) for word in words])
        found = torch.zeros(len(words), len(places), dtype=cells.dtype, device=cells.device)
        found[torch.tensor(places, device=cells.device), torch.arange(len(places), device=cells.device)] = 1
        return found
