"""Which few tensors add up to a given one: a small search over what a layer's parts put out."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

MOST_TERMS = 4
SKETCH = 64  # numbers by which most combinations are ruled out
MANY = 16  # tokens above which one of them rules most states out


def is_close(one: Tensor | None, other: Tensor | None, tolerance: float = 5e-6) -> bool:
    """Whether two states are equal up to rounding, token by token. [token, d]

    A few tokens of large decoders are a hundred times as long as others, so each is judged by its own largest number.
    """
    if one is None or other is None or one.shape != other.shape:
        return False
    if one.dim() == 2 and len(one) > MANY and not is_close(one[-1:], other[-1:], tolerance):
        return False
    size = other.abs().amax(-1, keepdim=True).clamp(min=1e-12)
    return bool(((one - other).abs() <= tolerance * size).all())


def find_sum(
    target: Tensor, base: Tensor, terms: Sequence[Tensor], tolerance: float, fitted: bool = False
) -> tuple[tuple[int, float], ...] | None:
    """The fewest terms that, added to a base, make the target.

    Args:
        target, base: [token, d]; terms: [token, d] each.
        tolerance: largest difference, as a share of the token's largest number.
        fitted: True tries factors other than 1 as well, as in families that scale what they add (Granite).

    Returns:
        Index and factor of each term; None where no few of them do.
    """
    places = torch.arange(SKETCH, device=target.device) * 7919 % target.numel()  # a prime, so that all columns come up
    wanted = (target - base).flatten()[places].double()
    sketches = torch.stack([term.flatten()[places].double() for term in terms]) if terms else wanted[None, :0]
    bound = 20 * tolerance * target.abs().max().item()
    for count in range(1, min(MOST_TERMS, len(terms)) + 1):
        combinations = list(itertools.combinations(range(len(terms)), count))
        if not fitted:  # all at once: pictures have many tokens, and large models many parts
            sums = sketches[torch.tensor(combinations, device=target.device)].sum(1)
            near = ((sums - wanted).abs().amax(1) <= bound).tolist()
            combinations = [chosen for chosen, is_near in zip(combinations, near, strict=True) if is_near]
        for chosen in combinations:
            factors = [1.0] * count
            if fitted:
                solved = torch.linalg.lstsq(sketches[list(chosen)].T.cpu(), wanted[:, None].cpu()).solution[:, 0]
                factors = solved.tolist()
                if any(abs(factor) < 1e-3 for factor in factors):
                    continue
                weights = torch.tensor(factors, dtype=torch.float64, device=target.device)
                if (weights @ sketches[list(chosen)] - wanted).abs().max() > bound:
                    continue
            total = base + sum(factor * terms[i] for i, factor in zip(chosen, factors, strict=True))
            if is_close(total, target, tolerance):
                return tuple(zip(chosen, factors, strict=True))
    return None
