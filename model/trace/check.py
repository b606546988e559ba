"""Frozen results of one forward pass. NumPy only: whoever holds a trace needs no deep-learning library.

One axis order everywhere: [layer, head, query, key]. Layers and heads count from 0.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """How far a trace is from an independent run of the same model, and how far it may be.

    Attributes:
        max_weight_error, max_logit_error: largest absolute difference to the stock implementation.
        max_row_sum_error: largest |sum of a row of weights - 1|.
        leaked_mass: largest attention weight on a masked position; exactly 0 or the check fails.
        tolerance, logit_tolerance: what the errors of weights and of logits may be in the model's number format.
        how: one line on what the trace was compared with.
    """

    max_weight_error: float
    max_row_sum_error: float
    leaked_mass: float
    max_logit_error: float
    tolerance: float
    logit_tolerance: float
    how: str

    @property
    def ok(self) -> bool:
        """True where every error is finite and within the tolerance, and nothing leaks through the mask."""
        errors = (self.max_weight_error, self.max_row_sum_error)
        fine = all(error <= self.tolerance for error in errors)  # NaN compares False
        return fine and self.max_logit_error <= self.logit_tolerance and self.leaked_mass == 0.0
