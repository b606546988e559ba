"""Positional encodings computed from their formulas, to compare those of a model with; shared with no model."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def sinusoidal_table(count: int, width: int) -> Tensor:
    """PE(pos, 2i) = sin(pos / 10000^(2i / width)), PE(pos, 2i + 1) the cosine (Vaswani et al. 2017, §3.5).

    Returns:
        float64 [position, width]
    """
    positions = torch.arange(count, dtype=torch.float64)[:, None]
    angles = positions * torch.exp(torch.arange(0, width, 2, dtype=torch.float64) * (-math.log(10_000.0) / width))
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


def halves_table(count: int, width: int) -> Tensor:
    """The same numbers as `sinusoidal_table`, all sines before all cosines (Marian, Pegasus, DistilBERT).

    Returns:
        float64 [position, width]
    """
    table = sinusoidal_table(count, width)
    return torch.cat([table[:, 0::2], table[:, 1::2]], dim=-1)


def half_step_table(count: int, width: int) -> Tensor:
    """sin(pos · θ_i) and cos(pos · θ_i) with θ_i = 10000^(-i / (width / 2 - 1)), sines first (tensor2tensor, M2M100).

    Returns:
        float64 [position, width]
    """
    half = width // 2
    steps = torch.exp(torch.arange(half, dtype=torch.float64) * (-math.log(10_000.0) / max(half - 1, 1)))
    angles = torch.arange(count, dtype=torch.float64)[:, None] * steps
    table = torch.cat([angles.sin(), angles.cos()], dim=-1)
    return torch.nn.functional.pad(table, (0, width % 2))


def rotary_frequencies(base: float, width: int) -> Tensor:
    """θ_i = base^(-2i / width), i from 0 to width / 2 - 1 (Su et al. 2021, §3.2.2). float64 [pair]"""
    return torch.exp(torch.arange(0, width, 2, dtype=torch.float64) * (-math.log(base) / width))


def relative_buckets(queries: int, keys: int, buckets: int, reach: int, *, both_ways: bool) -> Tensor:
    """The bucket of each distance from query to key (Raffel et al. 2020, T5): exact near by, logarithmic further off.

    Args:
        buckets: how many there are; reach: the distance from which all share the last.
        both_ways: True where keys on both sides have buckets of their own; else later keys count as distance 0.

    Returns:
        int64 [query, key]
    """
    distance = torch.arange(keys)[None] - torch.arange(queries)[:, None]
    start = torch.zeros_like(distance)
    if both_ways:
        buckets //= 2
        start = torch.where(distance > 0, buckets, 0)
        distance = distance.abs()
    else:
        distance = (-distance).clamp(min=0)
    exact = buckets // 2
    # In float32, as the models were trained: at a border of two buckets the last digit decides.
    logarithm = (distance.clamp(min=1).float() / exact).log() / math.log(reach / exact) * (buckets - exact)
    far = (exact + logarithm.long()).clamp(max=buckets - 1)
    return start + torch.where(distance < exact, distance, far)
