"""Arrays that are made when they are looked at: most pages look at few of them (NumPy only)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

Array = np.ndarray


class Lazy(Mapping[str, Array]):
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


def shapes(arrays: Mapping[str, Array]) -> Mapping[str, tuple[int, ...]]:
    """The shapes of arrays by name; nothing is made or fetched for that."""
    return arrays.shapes if isinstance(arrays, Lazy) else {name: array.shape for name, array in arrays.items()}
