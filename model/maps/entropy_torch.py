"""Shannon entropy of attention rows, computed on the device that holds them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

LOWEST_SCORE = -1e30  # replaces -inf, because 0 · -inf is NaN


def entropy_bits(scores: Tensor, weights: Tensor) -> Tensor:
    """Shannon entropy of each row of a softmax, in bits; 0 where every key is masked.

    Uses -log p = log Σ e^score - score: one logarithm per row, where the definition takes one per cell.

    Args:
        scores: [..., key], -inf where masked; overwritten. weights: their softmax, [..., key].

    Returns:
        [...]
    """
    strongest = weights.amax(dim=-1)
    log_sum_exp = scores.amax(dim=-1) - strongest.log()
    mean_score = torch.mul(weights, scores.clamp_(min=LOWEST_SCORE), out=scores).sum(dim=-1)
    return torch.where(strongest > 0, (log_sum_exp - mean_score) / math.log(2), 0.0).clamp_(min=0)
