"""Frozen results of one forward pass. NumPy only: whoever holds a trace needs no deep-learning library.

One axis order everywhere: [layer, head, query, key]. Layers and heads count from 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from model.arrays.buffers import reuse, reused
from model.arrays.types import Array
from model.trace.recorded_layer import LayerOverview, RecordedLayer
from model.trace.tokens import Tokens


@dataclass(frozen=True, eq=False)
class Attention:
    """All heads of all layers of one kind of attention, with the tokens that ask and the tokens that are asked.

    Attributes:
        kind: "encoder", "decoder" or "cross".
        queries, keys: the tokens of the two sides; in cross-attention decoder tokens ask and encoder tokens are asked.
    """

    kind: str
    queries: Tokens
    keys: Tokens
    num_heads: int
    head_dim: int
    layers: tuple[RecordedLayer, ...]

    def __post_init__(self) -> None:
        expected = (self.num_heads, len(self.queries), len(self.keys), self.head_dim)
        for layer, recorded in enumerate(self.layers):
            if recorded.shape != expected:
                raise ValueError(
                    f"{self.kind} layer {layer}: "
                    f"heads, queries, keys, head_dim are {recorded.shape}, expected {expected}"
                )

    @property
    def query_tokens(self) -> tuple[str, ...]:
        return self.queries.texts

    @property
    def key_tokens(self) -> tuple[str, ...]:
        return self.keys.texts

    @property
    def num_layers(self) -> int:
        return len(self.layers)

    @property
    def has_vectors(self) -> bool:
        """False where a model family shows its weights only: then there is no query, key, value and no score."""
        return self.head_dim > 0

    def weights(self, layer: int) -> Array:
        """Attention weights; rows sum to 1. float32 [head, query, key]"""
        return self._layer(layer).weights()

    def drawn(
        self,
        layer: int,
        head: int | None,
        queries: Sequence[int],
        keys: Sequence[int],
        shape: tuple[int, int] | None = None,
    ) -> Array:
        """Weights between some tokens; NaN where the mask forbids.

        Args:
            head: None for all.
            shape: pools neighbours into so many rows and columns, each cell the strongest of its group.

        Returns:
            float32 [row, column], or [head, row, column] for all heads.
        """
        maps = self._layer(layer).drawn(head, queries, keys, shape or (len(queries), len(keys)))
        return maps if head is None else maps[0]

    def row(self, layer: int, query: int) -> Array:
        """What one query looks at; 0 where the mask forbids. float32 [head, key]"""
        return np.nan_to_num(self.drawn(layer, None, [query], range(len(self.keys)))[:, 0], nan=0.0)

    def strongest(
        self, layer: int, head: int, queries: Sequence[int], keys: Sequence[int], count: int
    ) -> tuple[Array, Array, Array]:
        """The largest weights between some tokens: places in `queries` and in `keys`, row by row, and the weights."""
        return self._layer(layer).strongest(head, queries, keys, count)

    def part(self, layer: int, heads: range, queries: Sequence[int]) -> RecordedLayer:
        """Some queries of some heads, as a layer of its own: what is asked of it is worked out for them alone."""
        return self._layer(layer).part(heads, queries)

    def together(self, what: str, *where: int) -> Array:
        """A measure over all layers, by a name of `model.maps.all_layers_torch`; computed where the layers are."""
        return self.layers[0].together(what, self.layers, *where)

    def overviews(self, side: int) -> list[LayerOverview]:
        """All heads of each layer at a glance, pooled to maps of at most side · side; large layers side by side."""
        threads = self.layers[0].at_once
        if threads == 1:
            with reused():
                return [layer.overview(side) for layer in self.layers]
        with ThreadPoolExecutor(threads, initializer=reuse) as pool:
            return list(pool.map(lambda layer: layer.overview(side), self.layers))

    def scores(self, layer: int, *, masked: bool = True) -> Array:
        """Scaled scores before the softmax; -inf where masked, unless `masked` is False. float32 [head, query, key]"""
        return self._layer(layer).scores(masked)

    def query(self, layer: int) -> Array:
        """float32 [head, query, head_dim]"""
        return self._layer(layer).array("query")

    def key(self, layer: int) -> Array:
        """float32 [head, key, head_dim]"""
        return self._layer(layer).array("key")

    def value(self, layer: int) -> Array:
        """float32 [head, key, head_dim]"""
        return self._layer(layer).array("value")

    def mask(self, layer: int) -> Array:
        """True where a query may look. bool [query, key]"""
        return self._layer(layer).array("allowed")

    def bias(self, layer: int) -> Array:
        """What was added to the scaled scores; 0 in families that add nothing. float32 [head, query, key]"""
        return self._layer(layer).array("bias")

    def scale(self, layer: int) -> float:
        """The factor on Q Kᵀ, usually 1 / √head_dim."""
        return self._layer(layer).scale

    def _layer(self, layer: int) -> RecordedLayer:
        if not 0 <= layer < self.num_layers:
            raise IndexError(f"{self.kind} attention has layers 0 to {self.num_layers - 1}; got {layer}")
        return self.layers[layer]
