"""What is drawn of a layer's maps: of large ones nothing else leaves the place where they are computed (NumPy only)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from model.arrays.types import Array


@dataclass(frozen=True, eq=False)
class LayerOverview:
    """All heads of a layer at a glance.

    Attributes:
        maps: the strongest weight of each group of cells; NaN where nothing may be looked at. [head, row, column]
        entropy: in bits, mean over the queries. [head]
        place: of the strongest weight, query · keys + key. int [head]
        strongest: that weight. [head]
    """

    maps: Array
    entropy: Array
    place: Array
    strongest: Array


Words = tuple[tuple[int, ...], ...]  # the places of each word's pieces


class RecordedLayer(Protocol):
    """What one attention layer recorded, its maps computed on demand.

    `model.attention.recorded_call.RecordedCall` is one.
    """

    @property
    def scale(self) -> float: ...

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(heads, queries, keys, head_dim)"""
        ...

    def array(self, name: str) -> Array:
        """ "query", "key", "value" [head, token, head_dim] "bias" [head, query, key] or "allowed" bool [query, key]."""
        ...

    def scores(self, masked: bool = True) -> Array: ...

    def weights(self) -> Array: ...

    # As `model.maps.layer_maps.LayerMaps` says.

    @property
    def memory(self) -> dict[int, int]: ...

    @property
    def at_once(self) -> int: ...

    def drawn(self, head: int | None, queries: Sequence[int], keys: Sequence[int], shape: tuple[int, int]) -> Array: ...

    def strongest(
        self, head: int, queries: Sequence[int], keys: Sequence[int], count: int
    ) -> tuple[Array, Array, Array]: ...

    def overview(self, side: int) -> LayerOverview: ...

    def part(self, heads: range, queries: Sequence[int]) -> RecordedLayer: ...

    def between(self, queries: Words, keys: Words) -> RecordedLayer: ...

    def together(self, what: str, layers: Sequence[RecordedLayer], *where: int) -> Array: ...
