"""Where two runs differ by more than their tolerance: both once more in float64, which tells rounding from a fault."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from model.arrays.torch_to_numpy import to_numpy
from model.trace.check import Check
from model.verification.comparison import Comparison, Vectors, relative_error
from model.verification.tolerances import Limits

AGREE = 1e-6  # largest difference of two correct runs in float64, as a share of the largest number
FURTHER = 4.0  # how much further than the stock run a trace may be from the numbers in float64
MAX_NUMBERS = 2**26  # of a run that are held at once, in float64: half a gigabyte
# Of the parts with numbers that are rounded; the others are right or wrong.
ROUNDED = ("weights", "row_sums", "scores", "queries", "keys", "values", "states", "neurons", "logits")


class Judge(Protocol):
    """What a run hands its numbers to; `model.verification.comparison.Comparison` is one."""

    def add_layer(self, kind: str, layer: int, expected: Tensor, vectors: Vectors | None = None) -> None: ...

    def add_layer_index(self, kind: str, indices: Sequence[int]) -> None: ...

    def add_states(self, stack: str, states: Sequence[Tensor]) -> None: ...

    def add_neurons(self, stack: str, layer: int, neurons: Tensor) -> None: ...

    def add_logits(self, expected: Tensor) -> None: ...


Run = Callable[[Judge], None]  # hands over the numbers of one run


class TooManyNumbersError(Exception):
    """A run has more numbers than may be held at once."""


class Numbers:
    """All numbers of a run, by name and place, and the calls that hand them on."""

    def __init__(self, run: Run) -> None:
        self.found: dict[tuple[Any, ...], Tensor] = {}
        self._calls: list[tuple[str, tuple[Any, ...]]] = []
        self._count = 0
        run(self)

    def replay(self, judge: Judge) -> None:
        """Hand the numbers on, as the run did."""
        for name, arguments in self._calls:
            getattr(judge, name)(*arguments)

    def add_layer(self, kind: str, layer: int, expected: Tensor, vectors: Vectors | None = None) -> None:
        self._calls.append(("add_layer", (kind, layer, expected, vectors)))
        self._keep(("weights", kind, layer), expected)
        for name, one in zip(("queries", "keys", "values"), vectors or (), strict=False):
            self._keep((name, kind, layer), one)

    def add_layer_index(self, kind: str, indices: Sequence[int]) -> None:
        self._calls.append(("add_layer_index", (kind, indices)))

    def add_states(self, stack: str, states: Sequence[Tensor]) -> None:
        self._calls.append(("add_states", (stack, states)))
        for depth, one in enumerate(states):
            self._keep(("states", stack, depth), one)

    def add_neurons(self, stack: str, layer: int, neurons: Tensor) -> None:
        self._calls.append(("add_neurons", (stack, layer, neurons)))
        self._keep(("neurons", stack, layer), neurons)

    def add_logits(self, expected: Tensor) -> None:
        self._calls.append(("add_logits", (expected,)))
        self._keep(("logits",), expected)

    def _keep(self, place: tuple[Any, ...], numbers: Tensor) -> None:
        self._count += numbers.numel()
        if self._count > MAX_NUMBERS:
            raise TooManyNumbersError
        self.found[place] = numbers


@dataclass(frozen=True)
class RoundingLimits(Limits):
    """Limits that what a format rounds away on one text sets: by how much the stock run itself is off in it."""

    off: dict[str, float]

    def weight(self, layer: int) -> float:
        return max(super().weight(layer), FURTHER * self.off.get("weights", 0.0))

    def vector(self, layer: int, width: int) -> float:
        names = ("queries", "keys", "values", "states", "neurons")
        return max(super().vector(layer, width), FURTHER * max(self.off.get(name, 0.0) for name in names))

    def logit(self, layers: int, largest: float) -> float:
        return max(super().logit(layers, largest), FURTHER * self.off.get("logits", 0.0))


def settle(check: Check, comparison: Comparison, stock: Run, stock_in_float64: Run, ours_in_float64: Run) -> Check:
    """The verdict where a trace exceeds the tolerances of its number format: rounding, or a fault.

    It is rounding where both implementations agree in float64, and the trace is about as far from those numbers as the
    stock run in the same format is.

    Args:
        check: the verdict so far; comparison: an empty one of the same trace.

    Returns:
        `check` itself where it stays.
    """
    if any(part.name not in ROUNDED for part in check.wrong_parts):
        return check
    try:
        single = Numbers(stock).found
        with float64_everywhere():
            exact, own = Numbers(stock_in_float64), Numbers(ours_in_float64).found
    except (TooManyNumbersError, RuntimeError):  # some of PyTorch's functions, as those of experts, know no float64
        return check
    if not all(_agree(numbers, exact.found[place]) for place, numbers in own.items()):
        return check
    off: dict[str, float] = {}
    for place, numbers in exact.found.items():
        off[place[0]] = max(off.get(place[0], 0.0), _error(place[0], single[place], numbers))
    comparison.limits = RoundingLimits(comparison.limits.digits, off)
    exact.replay(comparison)
    settled = comparison.check(check.how, independent=check.independent)
    compared = {part.name for part in settled.parts}
    settled = replace(
        settled,
        parts=(*settled.parts, *(part for part in check.parts if part.name not in compared)),
        rounding=max(check.max_weight_error, check.max_row_sum_error, check.max_logit_error, settled.max_weight_error),
    )
    return settled if settled.ok else check


def _agree(one: Tensor, other: Tensor) -> bool:
    """Whether two runs in float64 are equal but for the last digits."""
    return one.shape == other.shape and bool((one - other).abs().max() <= AGREE * other.abs().max().clamp(min=1.0))


def _error(name: str, single: Tensor, exact: Tensor) -> float:
    """By how much one part of the stock run in the format is off, measured as the comparison does."""
    if name in ("weights", "logits"):
        return float((single.double() - exact).abs().max())
    return relative_error(to_numpy(single), to_numpy(exact))


class _Float64Mode(TorchFunctionMode):
    """Computes in float64 what a module asks to be computed in float32, such as a norm or a softmax."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        def widened(one: Any) -> Any:
            return torch.float64 if one is torch.float32 else one

        func = Tensor.double if func is Tensor.float else func
        result = func(*map(widened, args), **{name: widened(one) for name, one in (kwargs or {}).items()})
        single = isinstance(result, Tensor) and type(result) is Tensor and result.dtype == torch.float32
        return Tensor.double(result) if single else result


@contextmanager
def float64_everywhere() -> Iterator[None]:
    """In this thread nothing is computed in float32 while the block runs."""
    with _Float64Mode():
        yield
