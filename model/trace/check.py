"""The verdict on a trace: its errors against an independent run of the same model, part by part (NumPy only)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from model.arrays.types import Array

PROVED, REPEATED, WRONG = "proved", "repeated", "wrong"
PROBED = ("lens", "effects", "neurons", "guess")  # what may be measured of a trace in passes of its own
MAP_SIDE = 56  # rows and columns at most of an independent run's map that is kept, to compare pictures with


@dataclass(frozen=True)
class Part:
    """One part of a trace compared with the independent run.

    Attributes:
        name: "weights", "row_sums", "leaked", "scores", "queries", "keys", "values", "states", "neurons", "logits",
            "tokens", "labels", "layers", "words", "positions", "lens", "effects", "guess", "boxes", "text" or "drawn".
        error: the largest difference; of words and labels the share that differs.
        limit: the largest error that the number format explains; 0 where nothing may differ.
        where: the place of the largest error, such as "cross 2"; "" where there is one place only.
    """

    name: str
    error: float
    limit: float
    where: str = ""

    @property
    def ok(self) -> bool:
        """Whether the error is a number within its limit."""
        return self.error <= self.limit  # NaN compares False

    @property
    def severity(self) -> float:
        """Error as a multiple of its limit, infinite for a NaN; the part with the highest decides."""
        if math.isnan(self.error):
            return math.inf
        return 0.0 if self.error == 0 else math.inf if self.limit == 0 else self.error / self.limit


@dataclass(frozen=True, eq=False)
class Probe:
    """What was measured of a trace in passes of its own, to be compared with independent runs.

    Attributes:
        lens: ids and probabilities of a logit lens, [layer + 1, token] each.
        effects: kind -> effect of silencing each head, [layer, head]; in_bits: as `Lens.head_effects` returns it.
        neurons: stack -> feed-forward neurons, [layer, token, d_ff].
        guess: a position, and the logits there while its token is masked, [vocab].
    """

    lens: tuple[Array, Array] | None = None
    effects: Mapping[str, Array] | None = None
    in_bits: bool = True
    neurons: Mapping[str, Array] | None = None
    guess: tuple[int, Array] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parts of a check that this is."""
        return tuple(name for name in PROBED if getattr(self, name) is not None)


@dataclass(frozen=True)
class Check:
    """Errors of a trace against an independent run of the same model, and their tolerances.

    Attributes:
        max_weight_error, max_logit_error: largest absolute difference from the stock implementation.
        max_row_sum_error: largest |sum of a row of weights - 1|.
        leaked_mass: largest attention weight on a masked position; exactly 0 or the check fails.
        tolerance, logit_tolerance: largest errors of weights and of logits that the model's number format explains.
        how: one line on what the trace was compared with.
        independent: False where both runs are the same code, as in families that show their weights only.
        parts: what was compared, each with its own limit.
        rounding: None, or the largest error where the runs differ by more than the usual tolerance although both are
            equal in float64: then it is what float32 rounds away on this text.
        maps: (kind, layer) -> weights of the independent run, pooled to at most 56 × 56; NaN where it has none.
            [head, row, column]
        uncompared: names of parts that were asked for and could not be compared.
    """

    max_weight_error: float
    max_row_sum_error: float
    leaked_mass: float
    max_logit_error: float
    tolerance: float
    logit_tolerance: float
    how: str
    independent: bool = True
    parts: tuple[Part, ...] = ()
    rounding: float | None = None
    maps: Mapping[tuple[str, int], Array] = field(default_factory=dict, repr=False, compare=False)
    uncompared: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """True where every error is finite and within its tolerance, and no weight is on a masked position."""
        errors = (self.max_weight_error, self.max_row_sum_error)
        within = all(error <= self.tolerance for error in errors)  # NaN compares False
        within &= self.max_logit_error <= self.logit_tolerance and self.leaked_mass == 0.0
        return within and all(part.ok for part in self.parts)

    @property
    def verdict(self) -> str:
        """ "proved" by an independent run, "repeated" where the same code ran twice, or "wrong"."""
        return WRONG if not self.ok else PROVED if self.independent else REPEATED

    @property
    def wrong_parts(self) -> tuple[Part, ...]:
        """The parts that differ by more than their limits."""
        return tuple(part for part in self.parts if not part.ok)


def not_compared(probe: Probe) -> Check:
    """The verdict on a probe that no independent run repeats."""
    return Check(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, "", independent=False, uncompared=probe.names)
