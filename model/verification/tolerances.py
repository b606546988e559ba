"""Tolerances of verification: how far the numbers of two correct runs may differ in a number format, layer by layer."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Limits:
    """Largest differences between two correct runs in one number format.

    Attributes:
        digits: relative size of one rounding, 2⁻⁸ for bfloat16; 0 for a format with a flat tolerance.
    """

    digits: float

    def weight(self, layer: int) -> float:
        """Largest difference of an attention weight behind so many layers."""
        return 1e-4 if not self.digits else WEIGHT_ROUNDINGS * self.digits * math.sqrt(layer + 1)

    def vector(self, layer: int, width: int) -> float:
        """Largest difference of a token's vector of so many numbers behind so many layers, as a share of its length."""
        return 1e-4 if not self.digits else vector_roundings(width) * self.digits * math.sqrt(layer + 1)

    def score(self, layer: int, width: int) -> float:
        """Largest difference of a score, as a share of the lengths of its query and its key, of so many numbers."""
        return self.vector(layer, width)

    def logit(self, layers: int, largest: float) -> float:
        """Largest difference of a logit behind so many layers, where the largest logit has this size."""
        if not self.digits:  # a logit of some hundreds has fewer digits behind the point
            return 1e-4 * max(largest / USUAL_LOGIT, 1.0)
        return LOGIT_ROUNDINGS * self.digits * math.sqrt(layers + 1) * max(largest, 1.0)


USUAL_LOGIT = 30.0  # up to which float32 needs no more than the flat tolerance
# Measured on the translator, MiniLM and small untrained models of five families: correct runs reach 4.4 roundings in a
# weight, 2.2 in a vector of 384 numbers and 3.4 in one of 32; one head a fifth too strong moves vectors by 3 to 13 in
# bfloat16, and by eight times as many in float16.
WEIGHT_ROUNDINGS, LOGIT_ROUNDINGS = 8.0, 4.0
# float32 has a flat tolerance: where a run exceeds it, float64 decides. The others round each number to 8 and 11 binary
# digits, and the roundings of the layers add up as a chance walk does.
DIGITS = {torch.bfloat16: 2.0**-8, torch.float16: 2.0**-11}


def vector_roundings(width: int) -> float:
    """Roundings by which a vector of so many numbers may differ: the more numbers, the more they even out."""
    return 2.1 + 11 / math.sqrt(width)


def limits(dtype: torch.dtype) -> Limits:
    """The limits of a number format."""
    return Limits(DIGITS.get(dtype, 0.0))
