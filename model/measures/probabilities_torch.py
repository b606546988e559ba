"""Divergence of next-token probabilities, computed on the device: `model.measures.probabilities` in PyTorch."""

from __future__ import annotations

import numpy as np
from torch import Tensor


def kl_divergence_bits(before: Tensor, after: Tensor) -> Tensor:
    """Kullback-Leibler divergence KL(before ‖ after) of two runs' next-token distributions, in bits.

    Args:
        before, after: logits. [..., vocab]

    Returns:
        float32 [...]
    """
    p, q = before.float().log_softmax(-1), after.float().log_softmax(-1)
    return (p.exp() * (p - q)).sum(-1).clamp(min=0) / np.log(2)
