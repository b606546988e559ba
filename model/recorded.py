"""What an attention layer left behind, as whoever looks at it knows it (NumPy only)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from model.maps import Overview

Array = np.ndarray
Words = tuple[tuple[int, ...], ...]  # the places of each word's pieces


class Recorded(Protocol):
    """What an attention layer left behind; maps are computed when asked. `model.call.Call` is one."""

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

    # As `model.looks.Maps` says.

    @property
    def memory(self) -> dict[int, int]: ...

    @property
    def at_once(self) -> int: ...

    def drawn(self, head: int | None, queries: Sequence[int], keys: Sequence[int], shape: tuple[int, int]) -> Array: ...

    def strongest(
        self, head: int, queries: Sequence[int], keys: Sequence[int], count: int
    ) -> tuple[Array, Array, Array]: ...

    def overview(self, side: int) -> Overview: ...

    def part(self, heads: range, queries: Sequence[int]) -> Recorded: ...

    def between(self, queries: Words, keys: Words) -> Recorded: ...

    def together(self, what: str, layers: Sequence[Recorded], *where: int) -> Array: ...
