"""The protocol of one recorded attention layer, and the overview of its heads (NumPy only)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from model.arrays.types import Array


@dataclass(frozen=True, eq=False)
class LayerOverview:
    """Small pictures and key figures of all heads of a layer.

    Attributes:
        maps: max-pooled weights; NaN where the mask forbids the whole group. [head, row, column]
        entropy: Shannon entropy in bits, mean over the queries. [head]
        strongest_cell: flat index of the largest weight, query · keys + key. int [head]
        strongest: that weight. [head]
    """

    maps: Array
    entropy: Array
    strongest_cell: Array
    strongest: Array


WordPieces = tuple[tuple[int, ...], ...]  # for each word, the positions of its pieces


class RecordedLayer(Protocol):
    """One attention layer of a forward pass, whose maps are computed on demand.

    Of a large layer only what is asked for leaves the device or server that it is on. `model.maps.layer_maps.LayerMaps`
    documents the methods below `weights`; `model.attention.recorded_call.RecordedCall` is the layer of a local model.
    """

    @property
    def scale(self) -> float: ...

    @property
    def softcap(self) -> float | None:
        """c, where scaled scores become c · tanh(score / c) before the bias (Gemma 2); None without."""
        ...

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(heads, queries, keys, head_dim)"""
        ...

    def array(self, name: str) -> Array:
        """ "query", "key", "value" [head, token, head_dim] "bias" [head, query, key] "allowed" bool [query, key]
        "sinks" [head].

        A sink is a score that takes its share of each row and belongs to no key (gpt-oss); -inf without.
        """
        ...

    def scores(self, masked: bool = True) -> Array: ...

    def weights(self) -> Array: ...

    @property
    def bytes_by_address(self) -> dict[int, int]: ...

    @property
    def parallel_layers(self) -> int: ...

    def pooled(
        self, head: int | None, queries: Sequence[int], keys: Sequence[int], shape: tuple[int, int]
    ) -> Array: ...

    def strongest(
        self, head: int, queries: Sequence[int], keys: Sequence[int], count: int
    ) -> tuple[Array, Array, Array]: ...

    def overview(self, side: int) -> LayerOverview: ...

    def select(self, heads: range, queries: Sequence[int]) -> RecordedLayer: ...

    def merged_into_words(self, queries: WordPieces, keys: WordPieces) -> RecordedLayer: ...

    def across_layers(self, measure: str, layers: Sequence[RecordedLayer], *arguments: int) -> Array: ...
