"""Refusal of a pass whose states are no finite numbers (NumPy only)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from model.errors import InputError
from model.trace.trace import Trace


def check_finite(traces: Iterable[Trace]) -> None:
    """Raise an error where the states of a stack overflowed: every figure would be drawn from NaN.

    Raises:
        InputError: the states after the last layer hold NaN or an infinite number ("not_finite").
    """
    for trace in traces:
        for states in trace.hidden_states.values():
            if not np.isfinite(states[-1]).all():
                raise InputError(
                    "not_finite",
                    "The model's numbers overflow on this text (NaN or infinity): pick another model or number format.",
                )
