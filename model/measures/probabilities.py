"""Next-token probabilities and their divergence, from logits (NumPy only)."""

from __future__ import annotations

import numpy as np

from model.arrays.types import Array


def probabilities(logits: Array) -> Array:
    """Softmax over the vocabulary. logits [..., vocab] -> float64 [..., vocab]"""
    exponentials = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def sampling_probabilities(logits: Array, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0) -> Array:
    """Probabilities that a token is drawn from: after temperature, top-k and top-p, each on what the one before left.

    As `model.generation.search.filtered_probabilities`, without PyTorch. logits [vocab] -> float64 [vocab]

    Args:
        top_k: 0 keeps all tokens; top_p: 1 keeps all.
    """
    scaled = logits.astype(np.float64) / temperature
    if 0 < top_k < len(scaled):
        scaled = np.where(scaled < np.sort(scaled)[-top_k], -np.inf, scaled)
    drawn = probabilities(scaled)
    if top_p < 1:
        order = np.argsort(drawn, kind="stable")  # ascending
        removed = order[:-1][np.cumsum(drawn[order])[:-1] <= 1 - top_p]
        drawn[removed] = 0
    return drawn / drawn.sum()


def kl_divergence_bits(before: Array, after: Array) -> Array:
    """Kullback-Leibler divergence KL(before ‖ after) of two runs' next-token distributions, in bits.

    Args:
        before, after: logits. [..., vocab]

    Returns:
        float64 [...]: the bits lost by coding tokens of the first distribution with the second.
    """
    if before.ndim > 1:  # row by row: all at once would fill gigabytes for a long text and a large vocabulary
        return np.stack([kl_divergence_bits(one, other) for one, other in zip(before, after, strict=True)])
    p, q = probabilities(before), probabilities(after)
    safe = np.where(p > 0, p, 1.0)
    return np.where(p > 0, p * (np.log2(safe) - np.log2(np.maximum(q, 1e-300))), 0.0).sum(axis=-1).clip(min=0)


def most_probable(probability: Array, count: int) -> Array:
    """Ids of the most probable tokens, in falling order. [vocab] -> int [count]"""
    best = np.argpartition(-probability, min(count, len(probability) - 1))[:count]
    return best[np.argsort(-probability[best], kind="stable")]
