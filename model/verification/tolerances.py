"""Tolerances of verification: how far attention weights and logits of two correct runs may differ."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Tolerance:
    """Largest difference between two correct computations in one number format.

    Attributes:
        weight: largest difference of an attention weight, between 0 and 1.
        logit: largest difference of a logit, as a share of the largest logit.
    """

    weight: float
    logit: float


# float32 has a tolerance of 1e-4 whatever the size of the logits. The others round each number to 8 and 11 binary
# digits, and the rounding of twelve to sixty sublayers adds up.
TOLERANCES = {torch.bfloat16: Tolerance(0.15, 0.08), torch.float16: Tolerance(0.02, 0.01)}


def error_limits(dtype: torch.dtype, logits: torch.Tensor | None) -> tuple[float, float]:
    """Largest accepted errors of an attention weight and of a logit in a number format.

    Args:
        logits: the run's logits, whose size the limit grows with; None for a size of 1.
    """
    if dtype not in TOLERANCES:
        return 1e-4, 1e-4
    tolerance = TOLERANCES[dtype]
    return tolerance.weight, tolerance.logit * (1.0 if logits is None else max(float(logits.float().abs().max()), 1.0))
