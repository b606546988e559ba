"""Arrays that are made when they are looked at: most pages look at few of them (NumPy only)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, overload

import numpy as np

from model.arrays.types import Array


class LazyMapping(Mapping[str, Array]):
    """Arrays by name, each made or fetched once, when it is looked at.

    Args:
        shapes: of all of them, known before; make: finds one by its name.
    """

    def __init__(self, shapes: Mapping[str, Sequence[int]], make: Callable[[str], Array]) -> None:
        self.shapes = {name: tuple(shape) for name, shape in shapes.items()}
        self._make, self._kept = make, dict[str, Array]()

    def __getitem__(self, name: str) -> Array:
        if name not in self.shapes:
            raise KeyError(name)
        if name not in self._kept:
            self._kept[name] = self._make(name)
        return self._kept[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.shapes)

    def __len__(self) -> int:
        return len(self.shapes)


class Words(Sequence[str]):
    """A word for each place, each found once, when it is looked at; equal to any sequence of the same words."""

    def __init__(self, count: int, find: Callable[[int], str]) -> None:
        self._count, self._find = count, find
        self._kept: dict[int, str] = {}

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, place: int) -> str: ...

    @overload
    def __getitem__(self, place: slice) -> tuple[str, ...]: ...

    def __getitem__(self, place: int | slice) -> str | tuple[str, ...]:
        if isinstance(place, slice):
            return tuple(self[one] for one in range(self._count)[place])
        place = range(self._count)[place]
        if place not in self._kept:
            self._kept[place] = self._find(place)
        return self._kept[place]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]


class LazyRows:
    """A table of which rows are fetched when they are looked at; whatever else is done with it fetches it whole.

    Args:
        fetch: finds the rows from one place to another.
    """

    def __init__(self, fetch: Callable[[int, int], Array], shape: Sequence[int]) -> None:
        self._fetch, self.shape = fetch, tuple(shape)
        self._kept: dict[tuple[int, int], Array] = {}

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, item: Any) -> Any:
        if isinstance(item, (int, np.integer)):
            at = int(item) % len(self)
            return self._slice(at, at + 1)[0]
        if isinstance(item, slice) and item.step in (None, 1):
            start, stop, _ = item.indices(len(self))
            return self._slice(start, stop)
        return self._slice(0, len(self))[item]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._slice(0, len(self)), name)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.asarray(self._slice(0, len(self)), dtype=dtype)

    def _slice(self, start: int, stop: int) -> Array:
        if (start, stop) not in self._kept:
            self._kept[start, stop] = self._fetch(start, stop)
        return self._kept[start, stop]


def shapes(arrays: Mapping[str, Array]) -> Mapping[str, tuple[int, ...]]:
    """The shapes of arrays by name; nothing is made or fetched for that."""
    return arrays.shapes if isinstance(arrays, LazyMapping) else {name: array.shape for name, array in arrays.items()}
