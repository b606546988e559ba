"""An attention layer of a run on a server; its arrays are fetched when they are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from model.arrays.types import Array
from model.maps.layer_maps import LayerMaps
from model.maps.pooling import is_small
from model.trace.recorded_layer import LayerOverview, RecordedLayer, WordPieces

Response = tuple[dict[str, Any], dict[str, Array]]  # metadata and named arrays
Request = Callable[..., Response]  # of the kind of data and its parameters


@dataclass(frozen=True, eq=False)
class RemoteLayer(LayerMaps):
    """A layer with the interface of `RecordedLayer` whose arrays are fetched when they are read.

    Of a large layer, only the pooled maps and the strongest weights that are drawn are fetched.

    Attributes:
        request: sends a request for this layer; shape: heads, queries, keys and head_dim; scale: of the scores.
        softcap: as of `RecordedLayer`.
    """

    request: Request
    shape: tuple[int, int, int, int]
    scale: float
    softcap: float | None = None

    @cached_property
    def _arrays(self) -> dict[str, Array]:
        """Arrays that were fetched, by request."""
        return {}

    def _fetch(self, want: str, **parameters: Any) -> Array:
        """An array from the server, kept for the life of this layer."""
        key = f"{want}{parameters}"
        if key not in self._arrays:
            self._arrays[key] = self.request(want, **parameters)[1][""]
        return self._arrays[key]

    def weights(self) -> Array:
        return self._fetch("weights")

    def pooled(self, head: int | None, queries: Sequence[int], keys: Sequence[int], shape: tuple[int, int]) -> Array:
        if is_small(self.shape):
            return super().pooled(head, queries, keys, shape)
        where = {"head": head, "queries": [*queries], "keys": [*keys]}
        return self.request("pooled", **where, shape=[*shape])[1][""]

    def strongest(
        self, head: int, queries: Sequence[int], keys: Sequence[int], count: int
    ) -> tuple[Array, Array, Array]:
        if is_small(self.shape):
            return super().strongest(head, queries, keys, count)
        where = {"head": head, "queries": [*queries], "keys": [*keys]}
        found = self.request("strongest", **where, count=count)[1]
        return found["rows"], found["columns"], found["weights"]

    def overview(self, side: int) -> LayerOverview:
        return (
            super().overview(side) if is_small(self.shape) else LayerOverview(**self.request("overview", side=side)[1])
        )

    def scores(self, masked: bool = True) -> Array:
        return self._fetch("scores", masked=masked)

    def array(self, name: str) -> Array:
        return self._fetch(name)

    def select(self, heads: range, queries: Sequence[int]) -> RecordedLayer:
        if is_small(self.shape):
            return super().select(heads, queries)
        request = partial(self.request, selection={"heads": [heads.start, heads.stop], "queries": [*queries]})
        return RemoteLayer(request, (len(heads), len(queries), *self.shape[2:]), self.scale, self.softcap)

    def merged_into_words(self, queries: WordPieces, keys: WordPieces) -> RemoteLayer:
        request = partial(self.request, words=[queries, keys])
        return RemoteLayer(request, (self.shape[0], len(queries), len(keys), 0), float("nan"))

    def across_layers(self, measure: str, layers: Sequence[RecordedLayer], *arguments: int) -> Array:
        return self.request("across_layers", measure=measure, arguments=arguments)[1][""]
