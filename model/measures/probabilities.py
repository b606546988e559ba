"""What can be read off a trace: what it tends to do, how tokens move (NumPy only)."""

from __future__ import annotations

import numpy as np

from model.arrays.types import Array


def probabilities(logits: Array) -> Array:
    """Softmax over the vocabulary. [..., vocab] -> float64 [..., vocab]"""
    raised = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return raised / raised.sum(axis=-1, keepdims=True)


def divergence_bits(before: Array, after: Array) -> Array:
    """Kullback-Leibler divergence, in bits, of what two runs find likely next; from their logits. [..., vocab] -> [...]

    How many bits a reader loses who trusts the run after the change where the one before it is right.
    """
    if before.ndim > 1:  # row by row: of a long text and a large vocabulary all at once would fill gigabytes
        return np.stack([divergence_bits(one, other) for one, other in zip(before, after, strict=True)])
    p, q = probabilities(before), probabilities(after)
    safe = np.where(p > 0, p, 1.0)
    return np.where(p > 0, p * (np.log2(safe) - np.log2(np.maximum(q, 1e-300))), 0.0).sum(axis=-1).clip(min=0)


def likeliest(probability: Array, count: int) -> Array:
    """The ids of the likeliest tokens, best first. [vocab] -> int [count]"""
    best = np.argpartition(-probability, min(count, len(probability) - 1))[:count]
    return best[np.argsort(-probability[best], kind="stable")]
