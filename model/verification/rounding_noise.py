"""A context in which PyTorch rounds by chance: how far a run's numbers may be off in a number format on one input."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

# By the names of functions: sums of many products, where the order of the summands decides about the last digit.
PRODUCTS = {"linear", "matmul", "__matmul__", "bmm", "addmm", "baddbmm", "einsum", "grouped_mm", "_grouped_mm"}


@contextmanager
def rounding_noise(seed: int) -> Iterator[None]:
    """In this thread the last binary digit of each product is up or down by one while the block runs.

    One run shows one way of rounding. Where a last digit decides which experts read a token, others differ by far more.
    """
    with _NoiseMode(seed):
        yield


class _NoiseMode(TorchFunctionMode):
    def __init__(self, seed: int) -> None:
        super().__init__()
        self._generator = torch.Generator().manual_seed(seed)

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        if getattr(func, "__name__", "") not in PRODUCTS or type(found) is not Tensor or not found.is_floating_point():
            return found
        up = torch.randint(0, 2, found.shape, generator=self._generator, dtype=torch.bool).to(found.device)
        digit = torch.finfo(found.dtype).eps
        return found * torch.where(up, 1 + digit, 1 - digit).to(found.dtype)
