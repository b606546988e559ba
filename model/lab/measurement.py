"""What was measured over many sentences: means of every head with intervals, as arrays and as a table (NumPy only)."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from model.arrays.types import Array
from model.lab.measures import MEASURES

COLUMNS = ("kind", "measure", "unit", "layer", "head", "mean", "low", "high", "even_look", "sentences")


@dataclass(frozen=True)
class LeftOut:
    """A sentence that could not be measured.

    Attributes:
        reason: id of `why` in `assets/i18n`; why: the same in English.
    """

    sentence: str
    reason: str
    why: str


@dataclass(frozen=True, eq=False)
class Measurement:
    """Every head over many sentences. Kinds are "encoder", "decoder" and "cross", those that the model has.

    Attributes:
        measures: names, in the order of the first axis.
        sentences: those that were measured; left_out: the others, each with the reason.
        values: of each sentence. kind -> float32 [sentence, measure, layer, head]; NaN where it cannot be shown
        mean, low, high: over sentences, with the ends of the 95 % interval (bootstrap over sentences).
            kind -> float32 [measure, layer, head]; NaN where no sentence shows it; low and high also where one does
        counts: number of sentences that show it. kind -> [measure, layer, head]
        baseline: mean share of an even look over the allowed keys; NaN for measures without. As `mean`
        layer_index: kind -> which layer of the model each layer with attention is.
        resamples, seed: of the bootstrap.
    """

    measures: tuple[str, ...]
    sentences: tuple[str, ...]
    left_out: tuple[LeftOut, ...]
    values: Mapping[str, Array]
    mean: Mapping[str, Array]
    low: Mapping[str, Array]
    high: Mapping[str, Array]
    counts: Mapping[str, Array]
    baseline: Mapping[str, Array]
    layer_index: Mapping[str, tuple[int, ...]]
    resamples: int
    seed: int

    def __post_init__(self) -> None:
        for name in ("values", "mean", "low", "high", "counts", "baseline"):
            arrays: Mapping[str, Array] = getattr(self, name)
            for kind, array in arrays.items():
                start = (len(self.sentences), len(self.measures)) if name == "values" else (len(self.measures),)
                expected = (*start, len(self.layer_index[kind]))
                if array.shape[:-1] != expected:
                    raise ValueError(f"{kind} {name} have the shape {array.shape}, expected {(*expected, 'head')}")
                array.flags.writeable = False
            object.__setattr__(self, name, MappingProxyType(dict(arrays)))

    def __repr__(self) -> str:
        heads = ", ".join(f"{kind} {one.shape[1]} layers × {one.shape[2]} heads" for kind, one in self.mean.items())
        return (
            f"Measurement({len(self.measures)} measures of {heads}; {len(self.sentences)} sentences, "
            f"{len(self.left_out)} left out)"
        )

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of attention."""
        return tuple(self.mean)

    @property
    def units(self) -> tuple[str, ...]:
        """The unit of each measure: "share" (0 to 1), "bits" or "tokens"."""
        return tuple(MEASURES[name] for name in self.measures)

    @property
    def nbytes(self) -> int:
        """Size in bytes of its arrays."""
        parts = (self.values, self.mean, self.low, self.high, self.counts, self.baseline)
        return sum(one.nbytes for part in parts for one in part.values())

    def shown(self, kind: str) -> tuple[str, ...]:
        """The measures that at least one sentence shows in a kind of attention."""
        return tuple(name for i, name in enumerate(self.measures) if self.counts[kind][i].any())

    def of(self, kind: str, measure: str) -> Array:
        """The values of each sentence. float32 [sentence, layer, head]

        Raises:
            ValueError: it was not measured.
        """
        return self.values[kind][:, self.measures.index(measure)]

    def rows(self) -> Iterator[tuple[str | int | float, ...]]:
        """One row for each kind, measure and head that was shown, as `COLUMNS` names its parts."""
        for kind, means in self.mean.items():
            for at, layer, head in np.argwhere(~np.isnan(means)).tolist():
                numbers = (part[kind][at, layer, head] for part in (self.mean, self.low, self.high, self.baseline))
                name, index = self.measures[at], self.layer_index[kind][layer]
                texts = ("" if np.isnan(one) else f"{one:.6g}" for one in numbers)
                count = int(self.counts[kind][at, layer, head])
                yield (kind, name, MEASURES[name], index, head, *texts, count)

    def csv(self) -> str:
        """The same as a table with a line of names."""
        written = io.StringIO()
        csv.writer(written, lineterminator="\n").writerows([COLUMNS, *self.rows()])
        return written.getvalue()
