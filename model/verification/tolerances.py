"""Where a model can run."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Tolerance:
    """How far two right computations in a number format may be apart.

    Attributes:
        weight: largest difference of an attention weight, between 0 and 1.
        logit: largest difference of a score of the next token, as a share of the largest score.
    """

    weight: float
    logit: float


# float32 is held to 1e-4 whatever the scores' size. The others round each number to 8 and 11 binary digits, and twelve
# to sixty sublayers each add their share.
TOLERANCES = {torch.bfloat16: Tolerance(0.15, 0.08), torch.float16: Tolerance(0.02, 0.01)}


def limits(dtype: torch.dtype, logits: torch.Tensor | None) -> tuple[float, float]:
    """What the errors of weights and of logits may be in a number format."""
    if dtype not in TOLERANCES:
        return 1e-4, 1e-4
    allowed = TOLERANCES[dtype]
    return allowed.weight, allowed.logit * (1.0 if logits is None else max(float(logits.float().abs().max()), 1.0))
