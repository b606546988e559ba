"""Where two runs differ by more than their tolerance: both once more in float64, which tells rounding from a fault."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, Protocol

from torch import Tensor

from model.arrays.torch_to_numpy import to_numpy
from model.trace.check import Check
from model.verification.comparison import Comparison, Vectors, largest_magnitude, relative_error
from model.verification.float64_mode import any_format, float64_everywhere
from model.verification.rounding_noise import rounding_noise
from model.verification.tolerances import Limits

AGREE = 1e-6  # largest difference of two correct runs in float64, as a share of the largest number
# How much further than the stock run a trace may be from the numbers in float64 (8 was seen, at scores of 80), and than
# a run that rounds otherwise, by a whole digit each time.
FURTHER, FURTHER_THAN_NOISE = 10.0, 3.0
MAX_NUMBERS = 2**27  # of a run that are held at once, in float32: half a gigabyte
ROWS_AT_ONCE = 32  # of logits that are compared
# Of the parts with numbers that are rounded; the others are right or wrong, but for words that are nearly as likely.
ROUNDED = ("weights", "row_sums", "scores", "queries", "keys", "values", "states", "neurons", "logits")


class Judge(Protocol):
    """What a run hands its numbers to; `model.verification.comparison.Comparison` is one."""

    def add_layer(self, kind: str, layer: int, expected: Tensor, vectors: Vectors | None = None) -> None: ...

    def add_layer_index(self, kind: str, indices: Sequence[int]) -> None: ...

    def add_states(self, stack: str, states: Sequence[Tensor]) -> None: ...

    def add_neurons(self, stack: str, layer: int, neurons: Tensor) -> None: ...

    def add_logits(self, expected: Tensor) -> None: ...


Run = Callable[[Judge], None]  # hands over the numbers of one run
Place = tuple[Any, ...]  # name of the part, kind or stack, and layer


class TooManyNumbersError(Exception):
    """A run has more numbers than may be held at once."""


class DifferentError(Exception):
    """Two runs in float64 differ by more than their last digits."""


class Numbers:
    """The numbers of one run in float32, by name and place: one set for all runs that are compared.

    Each further run is compared with them as it hands its numbers over, so that never two runs are held at once.
    """

    def __init__(self) -> None:
        self.found: dict[Place, Tensor] = {}
        self._count = 0

    def hold(self, run: Run) -> None:
        """Hold all numbers of a run.

        Raises:
            TooManyNumbersError: there are more than `MAX_NUMBERS`.
        """
        run(_Each(self._hold))

    def replace(self, run: Run) -> Callable[[Judge], None]:
        """Hold the numbers of a run in place of those that are here, which must be equal but for the last digits.

        Returns:
            What hands the new numbers on, as the run did.

        Raises:
            TooManyNumbersError: there are more than `MAX_NUMBERS`.
            DifferentError: some numbers differ, or are missing.
        """
        here, self.found, self._count = self.found, {}, 0

        def take(place: Place, numbers: Tensor) -> Tensor:
            before = here.pop(place, None)
            if before is not None and not _agree(before, numbers):
                raise DifferentError
            return self._hold(place, numbers)

        calls = _Each(take)
        run(calls)
        if here:
            raise DifferentError
        return calls.repeat

    def errors(self, run: Run) -> dict[str, float]:
        """Name of a part -> by how much a run in another format is off at most, measured as the comparison does."""
        off: dict[str, float] = {}

        def take(place: Place, numbers: Tensor) -> Tensor:
            name = place[0]
            off[name] = max(off.get(name, 0.0), _error(name, numbers, self.found[place]))
            return numbers[:0]

        run(_Each(take))
        return off

    def _hold(self, place: Place, numbers: Tensor) -> Tensor:
        self._count += numbers.numel()
        if self._count > MAX_NUMBERS:
            raise TooManyNumbersError
        with any_format():  # they need no more digits than `AGREE` asks for
            self.found[place] = numbers.float()
        return self.found[place]


class _Each:
    """Hands each tensor of a run to a function with its name and place, and notes the calls with what it returns."""

    def __init__(self, take: Callable[[Place, Tensor], Tensor]) -> None:
        self._take = take
        self._calls: list[tuple[str, tuple[Any, ...]]] = []

    def repeat(self, judge: Judge) -> None:
        """Hand the numbers on, as the run did."""
        for name, arguments in self._calls:
            getattr(judge, name)(*arguments)

    def add_layer(self, kind: str, layer: int, expected: Tensor, vectors: Vectors | None = None) -> None:
        weights = self._take(("weights", kind, layer), expected)
        names = ("queries", "keys", "values")
        own = tuple(self._take((name, kind, layer), one) for name, one in zip(names, vectors or (), strict=False))
        self._calls.append(("add_layer", (kind, layer, weights, own or None)))

    def add_layer_index(self, kind: str, indices: Sequence[int]) -> None:
        self._calls.append(("add_layer_index", (kind, indices)))

    def add_states(self, stack: str, states: Sequence[Tensor]) -> None:
        held = [self._take(("states", stack, depth), one) for depth, one in enumerate(states)]
        self._calls.append(("add_states", (stack, held)))

    def add_neurons(self, stack: str, layer: int, neurons: Tensor) -> None:
        self._calls.append(("add_neurons", (stack, layer, self._take(("neurons", stack, layer), neurons))))

    def add_logits(self, expected: Tensor) -> None:
        self._calls.append(("add_logits", (self._take(("logits",), expected),)))


@dataclass(frozen=True)
class RoundingLimits(Limits):
    """Limits that what a format rounds away on one text sets. off: name of a part -> by how much it may be off"""

    off: dict[str, float]

    def weight(self, layer: int) -> float:
        return max(super().weight(layer), self.off.get("weights", 0.0))

    def vector(self, layer: int, width: int) -> float:
        names = ("queries", "keys", "values", "states", "neurons")
        return max(super().vector(layer, width), max(self.off.get(name, 0.0) for name in names))

    def logit(self, layers: int, largest: float) -> float:
        return max(super().logit(layers, largest), self.off.get("logits", 0.0))


def settle(
    check: Check,
    new_comparison: Callable[[], Comparison],
    stock: Run,
    stock_in_float64: Run,
    ours_in_float64: Run,
    add_words: Callable[[Comparison], None] | None = None,
    noisy_runs: int = 0,
) -> Check:
    """The verdict where a trace exceeds the tolerances of its number format: rounding, or a fault.

    It is rounding where both implementations agree in float64, and the trace is about as far from those numbers as the
    stock run in the same format is, or as one that rounds otherwise.

    Args:
        check: the verdict so far; new_comparison: returns an empty one of the same trace.
        add_words: compares the words once more, which may be others where the logits before them are rounded.
        noisy_runs: how many stock runs that round otherwise may be made.

    Returns:
        `check` itself where it stays.
    """
    wrong = {part.name for part in check.wrong_parts}
    if wrong - {*ROUNDED, "words"} or wrong == {"words"}:
        return check
    numbers = Numbers()
    try:
        with float64_everywhere():
            numbers.hold(ours_in_float64)
            hand_on = numbers.replace(stock_in_float64)
    # Some of PyTorch's functions know no float64.
    except (TooManyNumbersError, DifferentError, RuntimeError):
        return check
    for off in _roundings(numbers, stock, noisy_runs):
        comparison = new_comparison()
        comparison.limits = RoundingLimits(comparison.limits.digits, off)
        hand_on(comparison)
        if add_words is not None:
            add_words(comparison)
        settled = _with_rounding(check, comparison.check(check.how, independent=check.independent))
        if settled.ok:
            return settled
    return check


def _roundings(numbers: Numbers, stock: Run, noisy_runs: int) -> Iterator[dict[str, float]]:
    """By how much a number format may be off in each part, as the stock run shows, and then each that rounds otherwise.

    Args:
        numbers: of a correct run, in float64.
    """
    off: dict[str, float] = {}
    for seed in (None, *range(noisy_runs)):
        rounds = nullcontext() if seed is None else rounding_noise(seed)
        further = FURTHER if seed is None else FURTHER_THAN_NOISE
        try:
            with rounds:
                errors = numbers.errors(stock)
        except RuntimeError:  # as where memory is short
            return
        off = {name: max(further * error, off.get(name, 0.0)) for name, error in errors.items()}
        yield off


def _with_rounding(check: Check, settled: Check) -> Check:
    """A verdict from float64, with what was compared before only, and by how much the number format is off."""
    compared = {part.name for part in settled.parts}
    return replace(
        settled,
        parts=(*settled.parts, *(part for part in check.parts if part.name not in compared)),
        rounding=max(check.max_weight_error, check.max_row_sum_error, check.max_logit_error, settled.max_weight_error),
    )


def _agree(one: Tensor, other: Tensor) -> bool:
    """Whether two runs in float64 are equal but for the last digits. one: in float32, which `AGREE` allows for"""
    return one.shape == other.shape and _largest_difference(one, other) <= AGREE * max(largest_magnitude(other), 1.0)


def _error(name: str, rounded: Tensor, exact: Tensor) -> float:
    """By how much one part of the stock run in the format is off, measured as the comparison does."""
    if name in ("weights", "logits"):
        return _largest_difference(rounded, exact)
    return relative_error(to_numpy(rounded), to_numpy(exact))


def _largest_difference(one: Tensor, other: Tensor) -> float:
    """The largest difference of two tensors of one shape, some rows at a time: logits in float64 are large."""
    rows = zip(one.split(ROWS_AT_ONCE), other.split(ROWS_AT_ONCE), strict=True)
    return max(float((part.double() - further.double()).abs().max()) for part, further in rows)
