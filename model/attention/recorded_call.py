"""One recorded attention call: scores, weights and reductions of them, computed on demand from q, k and mask.

Reductions over all weights of a large layer run block by block, so that a block fits into the processor's cache.
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

from model.arrays.buffers import scratch_buffer
from model.arrays.torch_to_numpy import to_numpy
from model.arrays.types import Array
from model.maps import pooling_torch
from model.maps.entropy_torch import entropy_bits
from model.maps.layer_maps import LayerMaps, WordLayer
from model.maps.pooling import as_index, capped_shape, concatenate_bands, expand_band, overview, pooling_groups
from model.maps.words_torch import WordLayerTorch
from model.trace.recorded_layer import LayerOverview, WordPieces

# Cells in a block, as many as fit into a processor's cache, and queries in a block at least, as each has an overhead.
BLOCK_CELLS, MIN_BLOCK_QUERIES = 2**20, 256
PARALLEL_CELLS = 2**19  # cells above which two layers are reduced in parallel


@dataclass(frozen=True, eq=False)
class RecordedCall(LayerMaps):
    """One attention call of one layer for one sentence of the batch; its maps are computed on demand.

    Tensors stay on the model's device; methods that return arrays give read-only NumPy float32.

    Attributes:
        query: [head, query, head_dim]
        key, value: [head or fewer, key, head_dim]; fewer where neighbouring heads share one (grouped-query attention).
        allowed: bool [query, key], True where a query may look.
        bias: [head or 1, query, key], added to the scaled scores (T5's relative positions, ALiBi), or None.
        scale: factor on Q Kᵀ, usually 1 / √head_dim.
        forced: head -> the weights that an edit set in place of its own. [query, key]
        factors: what an edit multiplies each head's output by; empty without such an edit. [head]
        softcap, sinks: as in `model.attention.formula.attention`.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    allowed: Tensor
    bias: Tensor | None
    scale: float
    forced: Mapping[int, Tensor] = field(default_factory=dict)
    factors: tuple[float, ...] = ()
    softcap: float | None = None
    sinks: Tensor | None = None

    @property
    def parallel_layers(self) -> int:
        # PyTorch uses all cores for some steps of a reduction only: two large layers fill each other's gaps. On a
        # GPU they would queue up.
        heads, queries, keys, _ = self.shape
        return min(os.cpu_count() or 1, 2) if self._on_cpu and heads * queries * keys > PARALLEL_CELLS else 1

    def all_heads(self, name: str) -> Tensor:
        """ "query", "key" or "value" of every head; a shared one is repeated. [head, token, head_dim]"""
        return repeat_heads(getattr(self, name), len(self.query))

    def scores_tensor(self, masked: bool = True, into: Tensor | None = None) -> Tensor:
        """Scores before the softmax: Q Kᵀ · scale + bias. [head, query, key]

        Args:
            masked: put -inf where the mask forbids a key.
            into: memory to write the result into.
        """
        query, key = self.query.float(), self.all_heads("key").float().transpose(-2, -1)
        added = None if self.bias is None else self.bias.float()
        if masked and not self._unmasked:
            forbidden = torch.where(self.allowed, 0.0, -math.inf)
            added = forbidden if added is None else added + forbidden
        if self.softcap is not None:
            capped = soft_capped(query @ key * self.scale, self.softcap)
            return torch.add(capped, 0.0 if added is None else added, out=into)
        beta = 0 if added is None else 1  # with 0, baddbmm does not read what is added
        added = (query.new_zeros(()) if added is None else added).expand(self.shape[:3])
        return torch.baddbmm(added, query, key, beta=beta, alpha=self.scale, out=into)

    def weights_tensor(self) -> Tensor:
        """Attention weights; each row sums to 1, or is 0 where the mask forbids every key. [head, query, key]"""
        return self._softmax(self.scores_tensor())

    def _softmax(self, scores: Tensor, into: Tensor | None = None) -> Tensor:
        """Weights from masked scores, with fully masked rows set to 0 and forced weights put in."""
        weights = softmax_with_sinks(scores, self.sinks, into)
        if not self._unmasked and not (unmasked := self._mask.any(-1)).all():
            weights.masked_fill_(~torch.as_tensor(unmasked)[:, None], 0.0)
        for head, forced in self.forced.items():
            weights[head] = forced
        return weights

    def scores(self, masked: bool = True) -> Array:
        return to_numpy(self.scores_tensor(masked))

    def weights(self) -> Array:
        return to_numpy(self.weights_tensor())

    def pooled(self, head: int | None, queries: Sequence[int], keys: Sequence[int], shape: tuple[int, int]) -> Array:
        part = self.select(self._heads if head is None else range(head, head + 1), queries)
        if part._on_cpu:
            return LayerMaps.pooled(part, None, range(len(queries)), keys, shape)
        return pooling_torch.pooled(part, keys, shape)

    def strongest(
        self, head: int, queries: Sequence[int], keys: Sequence[int], count: int
    ) -> tuple[Array, Array, Array]:
        part = self.select(range(head, head + 1), queries)
        if part._on_cpu:
            return LayerMaps.strongest(part, 0, range(len(queries)), keys, count)
        return pooling_torch.strongest(part, keys, count)

    def overview(self, side: int) -> LayerOverview:
        shape = tuple(self.allowed.shape)
        if not self._on_cpu:
            return pooling_torch.overview(*self._weights_and_entropy(), self.allowed, side)
        rows, columns = pooling_groups(shape, capped_shape(shape, side))
        step = max(max(BLOCK_CELLS // (len(self.query) * shape[1]), MIN_BLOCK_QUERIES) * len(rows) // shape[0], 1)
        bands = [range(*bounds) for bounds in pairwise([*rows[::step].tolist(), shape[0]])]
        if len(bands) == 1:
            return self._overview_at_once(rows, columns)
        return concatenate_bands(
            [self._overview_of_queries(queries, rows, columns) for queries in bands], list(map(len, bands))
        )

    def _overview_of_queries(self, queries: range, rows: Array, columns: Array) -> LayerOverview:
        """The overview of some of the queries.

        Args:
            rows, columns: first query and first key of every pooling group of the whole map.
        """
        used = np.flatnonzero(to_numpy(self.allowed)[queries.start : queries.stop].any(axis=0))
        reach = int(used[-1]) + 1 if len(used) else 1  # the later keys of a causal map are left out
        rows = rows[(rows >= queries.start) & (rows < queries.stop)] - queries.start
        seen = self.select(self._heads, queries, reach)._overview_at_once(rows, columns[columns < reach])
        return expand_band(seen, queries, self.allowed.shape[1], len(columns), reach)

    def _overview_at_once(self, rows: Array, columns: Array) -> LayerOverview:
        """The overview in one block. rows, columns: first query and first key of every pooling group."""
        weights, entropy = map(to_numpy, self._weights_and_entropy())
        return overview(weights, to_numpy(self.allowed), entropy, (rows, columns))

    def _weights_and_entropy(self) -> tuple[Tensor, Tensor]:
        """Weights [head, query, key], in memory that the next call may reuse, and mean entropy in bits [head]."""
        shape, device = self.shape[:3], self.query.device
        scores = self.scores_tensor(into=scratch_buffer("scores", shape, device))
        weights = self._softmax(scores, scratch_buffer("weights", shape, device))
        # With sinks a row sums to less than 1, and the entropy is that of the part which keys get.
        own = self.sinks is None
        entropy = entropy_bits(scores, weights) if own else torch.special.entr(weights).sum(dim=-1) / math.log(2)
        for head, forced in self.forced.items():  # forced weights do not follow from the scores
            entropy[head] = torch.special.entr(forced).sum(dim=-1) / math.log(2)
        return weights, entropy.mean(dim=-1)

    @cached_property
    def _unmasked(self) -> bool:
        """Whether every query may look at every key."""
        return bool(self._mask.all())

    @property
    def _mask(self) -> Any:
        """`allowed` on its device; on a CPU as a NumPy array, whose `all` and `any` take a tenth of the time."""
        return to_numpy(self.allowed) if self._on_cpu else self.allowed

    @property
    def _on_cpu(self) -> bool:
        """Whether NumPy can read the tensors without a copy from a device."""
        return self.query.device.type == "cpu"

    @property
    def _heads(self) -> range:
        return range(len(self.query))

    def select(self, heads: range, queries: Sequence[int], reach: int | None = None) -> RecordedCall:
        """The call restricted to some heads and queries.

        Args:
            heads: neighbouring heads; queries: in rising order.
            reach: keep the first so many keys only; None keeps all.
        """
        some, rows, first, bias = slice(heads.start, heads.stop), as_index(queries), slice(reach), self.bias
        key, value = self.key, self.value
        if heads != self._heads:
            own = as_index([head * len(key) // len(self.query) for head in heads])
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
            sinks=None if self.sinks is None else self.sinks[some],
        )

    def merged_into_words(self, queries: WordPieces, keys: WordPieces) -> WordLayer:
        return WordLayer(self, queries, keys) if self._on_cpu else WordLayerTorch(self, queries, keys)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(heads, queries, keys, head_dim)"""
        return (*self.query.shape[:2], self.key.shape[1], self.query.shape[2])

    def array(self, name: str) -> Array:
        """One of "query", "key", "value", "bias", "allowed", "sinks" as a read-only NumPy array."""
        if name == "bias":
            shape = (self.query.shape[0], *self.allowed.shape)
            return to_numpy(self.query.new_zeros(shape) if self.bias is None else self.bias.expand(shape))
        if name == "sinks":
            return to_numpy(self.query.new_full(self.query.shape[:1], -math.inf) if self.sinks is None else self.sinks)
        return to_numpy(self.allowed if name == "allowed" else self.all_heads(name))

    @property
    def bytes_by_address(self) -> dict[int, int]:
        tensors = (self.query, self.key, self.value, self.allowed, self.bias, *self.forced.values())
        return {tensor.data_ptr(): tensor.nbytes for tensor in tensors if tensor is not None}


def soft_capped(scores: Tensor, cap: float | None) -> Tensor:
    """cap · tanh(scores / cap), which keeps scores between -cap and cap; the scores themselves without a cap."""
    return scores if cap is None else cap * torch.tanh(scores / cap)


def softmax_with_sinks(scores: Tensor, sinks: Tensor | None, into: Tensor | None = None) -> Tensor:
    """Softmax over the keys, where each head's sink takes its share and is left out of the result.

    Args:
        scores: [..., head, query, key], -inf where masked.
        sinks: [head], or None for the plain softmax; a row of which every key is masked is NaN only without sinks.
        into: memory to write the result into.
    """
    if sinks is None:
        return torch.softmax(scores, dim=-1, out=into)
    column = sinks.to(scores).view(-1, 1, 1).expand(*scores.shape[:-1], 1)
    weights = torch.softmax(torch.cat([scores, column], dim=-1), dim=-1)[..., :-1]
    return weights if into is None else into.copy_(weights)


def repeat_heads(shared: Tensor, heads: int) -> Tensor:
    """Keys or values repeated for every head. [..., shared head, key, head_dim] -> [..., head, key, head_dim]"""
    times = heads // shared.shape[-3]
    return shared if times == 1 else shared.repeat_interleave(times, dim=-3)
