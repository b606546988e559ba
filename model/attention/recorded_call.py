"""One attention call of one layer: its scores and weights, computed when somebody looks.

Where all weights are looked at, in blocks that a processor's cache has room for.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from model.arrays.buffers import room
from model.arrays.torch_to_numpy import to_numpy
from model.arrays.types import Array
from model.maps import pooling_torch
from model.maps.layer_maps import LayerMaps, WordLayer
from model.maps.pooling import among, at, at_most, below, groups, overview
from model.maps.words_torch import WordLayerTorch
from model.trace.recorded_layer import LayerOverview, Words

# Where all weights are looked at: cells that are computed at once, for a processor's cache has little room, and of how
# many queries at least, for each step takes time of its own.
BLOCK, LEAST = 2**20, 256
LARGE = 2**19  # cells of a layer of which two are looked at at the same time


@dataclass(frozen=True, eq=False)
class RecordedCall(LayerMaps):
    """One attention call of one layer, for one sentence of the batch; computes its maps when asked.

    Tensors stay on the model's device. What leaves is NumPy float32 on the CPU, read-only.
    """

    query: Tensor  # [head, query, head_dim]
    key: Tensor  # [head or fewer, key, head_dim]
    value: Tensor  # [head or fewer, key, head_dim]; fewer: neighbouring heads share one (grouped-query attention)
    allowed: Tensor  # bool [query, key], True where a query may look
    bias: Tensor | None  # [head or 1, query, key], added to the scaled scores (T5's relative positions, ALiBi)
    scale: float  # usually 1 / √head_dim
    forced: Mapping[int, Tensor] = field(default_factory=dict)  # head -> weights that an edit gave it
    factors: tuple[float, ...] = ()  # what an edit multiplies each head's output by; empty where by nothing

    @property
    def at_once(self) -> int:
        # PyTorch spreads a look over all cores, but not all of it: two large ones fill each other's gaps. On a GPU
        # they would queue up.
        heads, queries, keys, _ = self.shape
        return min(os.cpu_count() or 1, 2) if self._is_here and heads * queries * keys > LARGE else 1

    def every(self, name: str) -> Tensor:
        """ "query", "key" or "value" of every head, those that heads share repeated. [head, token, head_dim]"""
        return repeat_heads(getattr(self, name), len(self.query))

    def scores_tensor(self, masked: bool = True, into: Tensor | None = None) -> Tensor:
        """What the softmax is given: Q Kᵀ · scale + bias, -inf where the mask forbids. [head, query, key]"""
        query, key = self.query.float(), self.every("key").float().transpose(-2, -1)
        added = None if self.bias is None else self.bias.float()
        if masked and not self._open:
            forbidden = torch.where(self.allowed, 0.0, -math.inf)
            added = forbidden if added is None else added + forbidden
        beta = 0 if added is None else 1  # with 0 what is added is not even read
        added = (query.new_zeros(()) if added is None else added).expand(self.shape[:3])
        return torch.baddbmm(added, query, key, beta=beta, alpha=self.scale, out=into)

    def weights_tensor(self) -> Tensor:
        """Attention weights; each row sums to 1, or is 0 where nothing may be looked at. [head, query, key]"""
        return self._softmax(self.scores_tensor())

    def _softmax(self, scores: Tensor, into: Tensor | None = None) -> Tensor:
        weights = torch.softmax(scores, dim=-1, out=into)
        if not self._open and not (seeing := self._mask.any(-1)).all():
            weights.masked_fill_(~torch.as_tensor(seeing)[:, None], 0.0)
        for head, given in self.forced.items():
            weights[head] = given
        return weights

    def scores(self, masked: bool = True) -> Array:
        return to_numpy(self.scores_tensor(masked))

    def weights(self) -> Array:
        return to_numpy(self.weights_tensor())

    def drawn(self, head: int | None, queries: Sequence[int], keys: Sequence[int], shape: tuple[int, int]) -> Array:
        part = self.part(self._heads if head is None else range(head, head + 1), queries)
        if part._is_here:
            return LayerMaps.drawn(part, None, range(len(queries)), keys, shape)
        return pooling_torch.drawn(part, keys, shape)

    def strongest(
        self, head: int, queries: Sequence[int], keys: Sequence[int], count: int
    ) -> tuple[Array, Array, Array]:
        part = self.part(range(head, head + 1), queries)
        if part._is_here:
            return LayerMaps.strongest(part, 0, range(len(queries)), keys, count)
        return pooling_torch.strongest(part, keys, count)

    def overview(self, side: int) -> LayerOverview:
        shape = tuple(self.allowed.shape)
        if not self._is_here:
            return pooling_torch.overview(*self._looked_at(), self.allowed, side)
        rows, columns = groups(shape, at_most(shape, side))
        step = max(max(BLOCK // (len(self.query) * shape[1]), LEAST) * len(rows) // shape[0], 1)
        bands = [range(*between) for between in pairwise([*rows[::step].tolist(), shape[0]])]
        if len(bands) == 1:
            return self._block(rows, columns)
        return below([self._band(queries, rows, columns) for queries in bands], list(map(len, bands)))

    def _band(self, queries: range, rows: Array, columns: Array) -> LayerOverview:
        """`overview` of some of the queries. rows, columns: where groups of all queries and keys start."""
        asked = np.flatnonzero(to_numpy(self.allowed)[queries.start : queries.stop].any(axis=0))
        reach = int(asked[-1]) + 1 if len(asked) else 1  # of a causal map the later keys are left out
        rows = rows[(rows >= queries.start) & (rows < queries.stop)] - queries.start
        seen = self.part(self._heads, queries, reach)._block(rows, columns[columns < reach])
        return among(seen, queries, self.allowed.shape[1], len(columns), reach)

    def _block(self, rows: Array, columns: Array) -> LayerOverview:
        """`overview`, all at once. rows, columns: where groups start."""
        weights, entropy = map(to_numpy, self._looked_at())
        return overview(weights, to_numpy(self.allowed), entropy, (rows, columns))

    def _looked_at(self) -> tuple[Tensor, Tensor]:
        """All weights, in memory that may be used again, and their entropy in bits, mean over the queries. [head]"""
        shape, device = self.shape[:3], self.query.device
        scores = self.scores_tensor(into=room("scores", shape, device))
        weights = self._softmax(scores, room("weights", shape, device))
        entropy = pooling_torch.entropy_bits(scores, weights)
        for head, given in self.forced.items():  # their scores say nothing of them
            entropy[head] = torch.special.entr(given).sum(dim=-1) / math.log(2)
        return weights, entropy.mean(dim=-1)

    @cached_property
    def _open(self) -> bool:
        """Whether every query may look everywhere."""
        return bool(self._mask.all())

    @property
    def _mask(self) -> Any:
        """`allowed` where it is; on a CPU as NumPy's, which looks through it in a tenth of the time."""
        return to_numpy(self.allowed) if self._is_here else self.allowed

    @property
    def _is_here(self) -> bool:
        """Whether NumPy gets at the numbers without their being moved."""
        return self.query.device.type == "cpu"

    @property
    def _heads(self) -> range:
        return range(len(self.query))

    def part(self, heads: range, queries: Sequence[int], reach: int | None = None) -> RecordedCall:
        """The same call for some of the heads and of the queries, and for the first keys only where `reach` is said."""
        some, rows, first, bias = slice(heads.start, heads.stop), at(queries), slice(reach), self.bias
        key, value = self.key, self.value
        if heads != self._heads:
            own = at([head * len(key) // len(self.query) for head in heads])
            key, value = key[own], value[own]
        if bias is not None:
            bias = (bias[some] if len(bias) > 1 else bias).expand(-1, self.allowed.shape[0], -1)[:, rows, first]
        forced = {head - heads.start: self.forced[head][rows, first] for head in heads if head in self.forced}
        return replace(
            self,
            query=self.query[some][:, rows],
            key=key[:, first],
            value=value[:, first],
            allowed=self.allowed[rows, first],
            bias=bias,
            forced=forced,
            factors=self.factors[some],
        )

    def between(self, queries: Words, keys: Words) -> WordLayer:
        return WordLayer(self, queries, keys) if self._is_here else WordLayerTorch(self, queries, keys)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(heads, queries, keys, head_dim)"""
        return (*self.query.shape[:2], self.key.shape[1], self.query.shape[2])

    def array(self, name: str) -> Array:
        """One of "query", "key", "value", "bias", "allowed" as a read-only NumPy array."""
        if name == "bias":
            shape = (self.query.shape[0], *self.allowed.shape)
            return to_numpy(self.query.new_zeros(shape) if self.bias is None else self.bias.expand(shape))
        return to_numpy(self.allowed if name == "allowed" else self.every(name))

    @property
    def memory(self) -> dict[int, int]:
        kept = (self.query, self.key, self.value, self.allowed, self.bias, *self.forced.values())
        return {tensor.data_ptr(): tensor.nbytes for tensor in kept if tensor is not None}


def repeat_heads(shared: Tensor, heads: int) -> Tensor:
    """Keys or values for every head, where neighbouring heads may share one. [..., head, key, head_dim]"""
    times = heads // shared.shape[-3]
    return shared if times == 1 else shared.repeat_interleave(times, dim=-3)
