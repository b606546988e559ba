"""All attention maps of one kind that a forward pass computed (NumPy only).

One axis order everywhere: [layer, head, query, key]. Layers and heads count from 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from model.arrays.buffers import reuse_buffers, reuse_buffers_in_thread
from model.arrays.types import Array
from model.trace.recorded_layer import LayerOverview, RecordedLayer
from model.trace.tokens import Tokens
from model.turns import rest_in_slices

ROW_SUM_TOLERANCE = 1e-2  # of weights that were computed elsewhere, maybe in half precision


@dataclass(frozen=True, eq=False)
class Attention:
    """The attention of all heads of all layers of one kind, with its query tokens and key tokens.

    Attributes:
        kind: "encoder", "decoder" or "cross"; in a video model "time" or "space".
        queries, keys: the tokens of the two sides; in cross-attention those of the decoder and of the encoder.
        head_dim: width of a query or key of one head, in the first layer where layers differ; 0 where the family
            shows its weights only.
        layers: the recorded layers, from the input up.
        layer_index: which layer of the model each of them is: 0, 1, 2 … unless some layers have no attention.
    """

    kind: str
    queries: Tokens
    keys: Tokens
    num_heads: int
    head_dim: int
    layers: tuple[RecordedLayer, ...]
    layer_index: tuple[int, ...] = ()
    layer_of_weights: ClassVar[Callable[[Array], RecordedLayer]]  # set by `model.maps.given_weights`, a room above

    @classmethod
    def from_arrays(
        cls,
        weights: Array,
        query_tokens: Sequence[str],
        key_tokens: Sequence[str] | None = None,
        kind: str = "encoder",
    ) -> Attention:
        """Attention whose weights were computed elsewhere: it has maps, but no queries, keys, values and scores.

        Args:
            weights: [layer, head, query, key]; each row sums to 1, or is 0 where the mask forbids every key.
            query_tokens, key_tokens: labels of the tokens; None where queries and keys are the same tokens.
            kind: as for `Attention`.

        Raises:
            ValueError: the sizes do not fit the tokens, or a row is no distribution.
        """
        given = np.array(weights, np.float32)  # a copy, which nobody changes afterwards
        given.flags.writeable = False
        queries = _plain_tokens(query_tokens)
        keys = queries if key_tokens is None else _plain_tokens(key_tokens)
        if given.ndim != 4 or given.shape[2:] != (len(queries), len(keys)) or not given.size:
            raise ValueError(
                f"weights have the shape {given.shape}, expected [layer, head, query, key] with {len(queries)} queries "
                f"and {len(keys)} keys"
            )
        sums = given.sum(-1)
        off = np.minimum(np.abs(sums - 1), np.abs(sums)).max()
        if not (given.min() >= 0 and off <= ROW_SUM_TOLERANCE):  # NaN is neither
            raise ValueError(
                f"weights are at least {given.min():g}, and the sum of a row is off by {off:g}; each row must sum to 1"
            )
        return cls(kind, queries, keys, given.shape[1], 0, tuple(map(cls.layer_of_weights, given)))

    def __post_init__(self) -> None:
        expected = (self.num_heads, len(self.queries), len(self.keys))
        for layer, recorded in enumerate(self.layers):
            if recorded.shape[:3] != expected or (recorded.shape[3] > 0) != self.has_vectors:
                raise ValueError(
                    f"{self.kind} layer {layer}: heads, queries, keys, head_dim are {recorded.shape}, "
                    f"expected {(*expected, self.head_dim)}"
                )
        index = self.layer_index or tuple(range(len(self.layers)))
        if len(index) != len(self.layers) or list(index) != sorted(set(index)):
            raise ValueError(f"{self.kind} layer_index is {index}, expected {len(self.layers)} rising numbers")
        object.__setattr__(self, "layer_index", index)

    def __repr__(self) -> str:
        return (
            f"Attention({self.kind}: {self.num_layers} layers, {self.num_heads} heads, "
            f"{len(self.queries)} queries, {len(self.keys)} keys)"
        )

    @property
    def query_tokens(self) -> tuple[str, ...]:
        """The labels of the query tokens. [query]"""
        return self.queries.texts

    @property
    def key_tokens(self) -> tuple[str, ...]:
        """The labels of the key tokens. [key]"""
        return self.keys.texts

    @property
    def num_layers(self) -> int:
        """The number of layers that have attention of this kind."""
        return len(self.layers)

    @property
    def has_vectors(self) -> bool:
        """False where a model family shows its weights only, without query, key, value and scores."""
        return self.head_dim > 0

    def weights(self, layer: int) -> Array:
        """Attention weights; rows sum to 1. float32 [head, query, key]"""
        return self._layer(layer).weights()

    def pooled(
        self,
        layer: int,
        head: int | None,
        queries: Sequence[int],
        keys: Sequence[int],
        shape: tuple[int, int] | None = None,
    ) -> Array:
        """Weights between some tokens, max-pooled to a shape; NaN where the mask forbids.

        Args:
            head: None for all.
            queries, keys: positions in rising order.
            shape: (rows, columns) to pool neighbouring cells into; None for no pooling.

        Returns:
            float32 [row, column], or [head, row, column] for all heads.
        """
        maps = self._layer(layer).pooled(head, queries, keys, shape or (len(queries), len(keys)))
        return maps if head is None else maps[0]

    def row(self, layer: int, query: int) -> Array:
        """The weights of one query in every head; 0 where the mask forbids. float32 [head, key]"""
        return np.nan_to_num(self.pooled(layer, None, [query], range(len(self.keys)))[:, 0], nan=0.0)

    def strongest(
        self, layer: int, head: int, queries: Sequence[int], keys: Sequence[int], count: int
    ) -> tuple[Array, Array, Array]:
        """The `count` largest weights between some tokens, in row-major order.

        Returns:
            Indices into `queries`, indices into `keys`, and the weights.
        """
        return self._layer(layer).strongest(head, queries, keys, count)

    def select(self, layer: int, heads: range, queries: Sequence[int]) -> RecordedLayer:
        """One layer restricted to some heads and queries; its maps are computed for those alone."""
        return self._layer(layer).select(heads, queries)

    def across_layers(self, measure: str, *arguments: int) -> Array:
        """A measure over all layers, computed on the device or server that holds them.

        Args:
            measure: name of a function in `model.maps.across_layers_torch.MEASURES`; arguments: its arguments.
        """
        return self.layers[0].across_layers(measure, self.layers, *arguments)

    def overviews(self, side: int) -> list[LayerOverview]:
        """Maps pooled to at most side · side, entropy and strongest cell of every head, layer by layer.

        Large layers are computed in parallel threads.
        """
        threads = self.layers[0].parallel_layers
        if threads == 1:
            with reuse_buffers():
                return [self._layer(layer).overview(side) for layer in range(self.num_layers)]
        with ThreadPoolExecutor(threads, initializer=reuse_buffers_in_thread) as pool:
            found = []
            for overview in pool.map(lambda layer: layer.overview(side), self.layers):
                found.append(overview)
                rest_in_slices()
            return found

    def scores(self, layer: int, *, masked: bool = True) -> Array:
        """Scaled scores before the softmax; -inf where masked, unless `masked` is False. float32 [head, query, key]"""
        return self._layer(layer).scores(masked)

    def query(self, layer: int) -> Array:
        """The queries of every head. float32 [head, query, head_dim]"""
        return self._layer(layer).array("query")

    def key(self, layer: int) -> Array:
        """The keys of every head. float32 [head, key, head_dim]"""
        return self._layer(layer).array("key")

    def value(self, layer: int) -> Array:
        """The values of every head. float32 [head, key, head_dim]"""
        return self._layer(layer).array("value")

    def mask(self, layer: int) -> Array:
        """The mask: True where a query may look. bool [query, key]"""
        return self._layer(layer).array("allowed")

    def bias(self, layer: int) -> Array:
        """The bias added to the scaled scores; 0 in families without one. float32 [head, query, key]"""
        return self._layer(layer).array("bias")

    def scale(self, layer: int) -> float:
        """The factor on Q Kᵀ, usually 1 / √head_dim."""
        return self._layer(layer).scale

    def _layer(self, layer: int) -> RecordedLayer:
        """One recorded layer; raises IndexError where the model has no such layer."""
        rest_in_slices()  # of work on the maps of all layers, each is a slice
        if not 0 <= layer < self.num_layers:
            raise IndexError(f"{self.kind} attention has layers 0 to {self.num_layers - 1}; got {layer}")
        return self.layers[layer]


def _plain_tokens(texts: Sequence[str]) -> Tokens:
    """Tokens of which the labels alone are known."""
    return Tokens(tuple(texts), (False,) * len(texts))
