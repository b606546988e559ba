"""Parts of a run that lies on a server: each is fetched when it is looked at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from model.arrays.types import Array
from model.maps.layer_maps import LayerMaps
from model.maps.pooling import is_small
from model.trace.recorded_layer import LayerOverview, RecordedLayer, Words

Ask = Callable[..., tuple[dict[str, Any], dict[str, Array]]]


@dataclass(frozen=True, eq=False)
class RemoteLayer(LayerMaps):
    """One layer whose arrays are fetched when they are looked at; as `model.attention.recorded_call.RecordedCall`.

    Of a large layer only what is drawn is fetched.
    """

    ask: Ask
    shape: tuple[int, int, int, int]
    scale: float

    @cached_property
    def _kept(self) -> dict[str, Array]:
        return {}

    def _fetch(self, want: str, **more: Any) -> Array:
        key = f"{want}{more}"
        if key not in self._kept:
            self._kept[key] = self.ask(want, **more)[1][""]
        return self._kept[key]

    def weights(self) -> Array:
        return self._fetch("weights")

    def drawn(self, head: int | None, queries: Sequence[int], keys: Sequence[int], shape: tuple[int, int]) -> Array:
        if is_small(self.shape):
            return super().drawn(head, queries, keys, shape)
        where = {"head": head, "queries": [*queries], "keys": [*keys]}
        return self.ask("drawn", **where, shape=[*shape])[1][""]

    def strongest(
        self, head: int, queries: Sequence[int], keys: Sequence[int], count: int
    ) -> tuple[Array, Array, Array]:
        if is_small(self.shape):
            return super().strongest(head, queries, keys, count)
        where = {"head": head, "queries": [*queries], "keys": [*keys]}
        found = self.ask("strongest", **where, count=count)[1]
        return found["rows"], found["columns"], found["weights"]

    def overview(self, side: int) -> LayerOverview:
        return super().overview(side) if is_small(self.shape) else LayerOverview(**self.ask("overview", side=side)[1])

    def scores(self, masked: bool = True) -> Array:
        return self._fetch("scores", masked=masked)

    def array(self, name: str) -> Array:
        return self._fetch(name)

    def part(self, heads: range, queries: Sequence[int]) -> RecordedLayer:
        if is_small(self.shape):
            return super().part(heads, queries)
        ask = partial(self.ask, part={"heads": [heads.start, heads.stop], "queries": [*queries]})
        return RemoteLayer(ask, (len(heads), len(queries), *self.shape[2:]), self.scale)

    def between(self, queries: Words, keys: Words) -> RemoteLayer:
        ask = partial(self.ask, words=[queries, keys])
        return RemoteLayer(ask, (self.shape[0], len(queries), len(keys), 0), float("nan"))

    def together(self, what: str, layers: Sequence[RecordedLayer], *where: int) -> Array:
        return self.ask("together", what=what, where=where)[1][""]
