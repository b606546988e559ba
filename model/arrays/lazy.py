"""Arrays, rows and texts that are computed or fetched on first access and then cached (NumPy only)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, overload

import numpy as np

from model.arrays.types import Array


class LazyMapping(Mapping[str, Array]):
    """Arrays by name, each computed or fetched on first access.

    Args:
        shapes: shape of each array, known beforehand.
        compute: called with a name; returns that array.
        keep: False computes it again at each access, and holds nothing.
    """

    def __init__(self, shapes: Mapping[str, Sequence[int]], compute: Callable[[str], Array], keep: bool = True) -> None:
        self.shapes = {name: tuple(shape) for name, shape in shapes.items()}
        self._compute, self._keep, self._cache = compute, keep, dict[str, Array]()

    def __getitem__(self, name: str) -> Array:
        if name not in self.shapes:
            raise KeyError(name)
        if name in self._cache:
            return self._cache[name]
        array = self._compute(name)
        if self._keep:
            self._cache[name] = array
        return array

    def __iter__(self) -> Iterator[str]:
        return iter(self.shapes)

    def __len__(self) -> int:
        return len(self.shapes)


class DeferredMapping(Mapping[str, Array]):
    """Arrays by name, of which not even the names are known before the first access.

    Args:
        names: names that may have an array.
        compute: called with a name; returns that array, or None where there is none.
        keep: False computes an array again at each access, and remembers only whether there is one.
    """

    def __init__(self, names: Sequence[str], compute: Callable[[str], Array | None], keep: bool = True) -> None:
        self._names, self._compute, self.keep = tuple(names), compute, keep
        self._cache: dict[str, Array | None] = {}
        self._known: dict[str, bool] = {}

    @property
    def computed(self) -> dict[str, Array]:
        """The arrays that were computed so far."""
        return {name: array for name, array in self._cache.items() if array is not None}

    def __getitem__(self, name: str) -> Array:
        if name not in self._names:
            raise KeyError(name)
        if name in self._cache:
            found = self._cache[name]
        else:
            found = self._compute(name)
            self._known[name] = found is not None
            if self.keep:
                self._cache[name] = found
        if found is None:
            raise KeyError(name)
        return found

    def __contains__(self, name: object) -> bool:
        if isinstance(name, str) and name in self._known:
            return self._known[name]
        return isinstance(name, str) and self.get(name) is not None

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._names if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)


class LazySequence(Sequence[str]):
    """A sequence of texts, each computed on first access; equal to any sequence of the same texts.

    Args:
        count: length of the sequence.
        compute: called once with an index; returns that text.
    """

    def __init__(self, count: int, compute: Callable[[int], str]) -> None:
        self._count, self._compute = count, compute
        self._cache: dict[int, str] = {}

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[str, ...]: ...

    def __getitem__(self, index: int | slice) -> str | tuple[str, ...]:
        if isinstance(index, slice):
            return tuple(self[i] for i in range(self._count)[index])
        index = range(self._count)[index]
        if index not in self._cache:
            self._cache[index] = self._compute(index)
        return self._cache[index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]


class LazyRows:
    """An array whose rows are fetched on first access; any other operation fetches it whole.

    Args:
        fetch: called with start and stop; returns those rows.
        shape: of the whole array.
        keep: False fetches rows again at each access, and holds nothing.
    """

    def __init__(self, fetch: Callable[[int, int], Array], shape: Sequence[int], keep: bool = True) -> None:
        self.fetch, self.shape, self.keep = fetch, tuple(shape), keep
        self._cache: dict[tuple[int, int], Array] = {}

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, item: Any) -> Any:
        if isinstance(item, (int, np.integer)):
            row = range(len(self))[int(item)]
            return self._rows(row, row + 1)[0]
        if isinstance(item, slice) and item.step in (None, 1):
            start, stop, _ = item.indices(len(self))
            return self._rows(start, stop)
        return self._rows(0, len(self))[item]

    def __iter__(self) -> Iterator[Array]:
        return iter(self._rows(0, len(self)))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__array_"):  # NumPy's array would hold this object, and what computes its rows
            raise AttributeError(name)
        return getattr(self._rows(0, len(self)), name)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.asarray(self._rows(0, len(self)), dtype=dtype)

    def _rows(self, start: int, stop: int) -> Array:
        """The rows from `start` up to `stop`, cached by that pair."""
        if (start, stop) in self._cache:
            return self._cache[start, stop]
        rows = self.fetch(start, stop)
        if self.keep:
            self._cache[start, stop] = rows
        return rows


def array_shapes(arrays: Mapping[str, Array]) -> Mapping[str, tuple[int, ...]]:
    """The shapes of arrays by name; computes and fetches nothing."""
    if isinstance(arrays, DeferredMapping):
        return {name: array.shape for name, array in arrays.computed.items()}
    return arrays.shapes if isinstance(arrays, LazyMapping) else {name: array.shape for name, array in arrays.items()}
