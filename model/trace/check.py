"""The result of verifying a trace against an independent run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """Errors of a trace against an independent run of the same model, and their tolerances.

    Attributes:
        max_weight_error, max_logit_error: largest absolute difference from the stock implementation.
        max_row_sum_error: largest |sum of a row of weights - 1|.
        leaked_mass: largest attention weight on a masked position; exactly 0 or the check fails.
        tolerance, logit_tolerance: largest errors of weights and of logits that the model's number format explains.
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
        """True where every error is finite and within its tolerance, and no weight is on a masked position."""
        errors = (self.max_weight_error, self.max_row_sum_error)
        within = all(error <= self.tolerance for error in errors)  # NaN compares False
        return within and self.max_logit_error <= self.logit_tolerance and self.leaked_mass == 0.0
