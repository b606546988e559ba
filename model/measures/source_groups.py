"""Sources of a stream, layers taken together so that few are drawn; their sums are kept (NumPy only)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model.arrays.types import Array
from model.trace.boxes.decomposition import Source


@dataclass(frozen=True)
class SourceGroup:
    """Sources of one kind, of neighbouring layers.

    Attributes:
        kind: as in `Source`; first, last: layers, equal for one of them; None where the kind belongs to no layer.
        places: indices of the sources.
    """

    kind: str
    first: int | None
    last: int | None
    places: tuple[int, ...]


def grouped_sources(sources: Sequence[Source], most: int) -> tuple[SourceGroup, ...]:
    """The sources in at most `most` groups, in the order of computing: each layer alone where that fits.

    Sources without a layer stay alone, so that more groups than `most` are possible where there are many kinds.
    """
    layers = 1 + max((source.layer for source in sources if source.layer is not None), default=0)
    for width in range(1, layers + 1):
        found: dict[tuple[str, int | None], list[int]] = {}
        for place, source in enumerate(sources):
            band = None if source.layer is None else source.layer // width
            found.setdefault((source.kind, band), []).append(place)
        if len(found) <= most or width == layers:
            break
    return tuple(_group(kind, sources, places) for (kind, _), places in found.items())


def _group(kind: str, sources: Sequence[Source], places: list[int]) -> SourceGroup:
    layers = [layer for place in places if (layer := sources[place].layer) is not None]
    return SourceGroup(kind, min(layers, default=None), max(layers, default=None), tuple(places))


def summed(parts: Array, queries: Sequence[SourceGroup], keys: Sequence[SourceGroup]) -> Array:
    """A table of parts, summed over groups. [query source, key source] -> float64 [query group, key group]"""
    rows = np.stack([parts[list(group.places)].sum(0) for group in queries])
    return np.stack([rows[:, list(group.places)].sum(1) for group in keys], axis=1)
