"""PyTorch's tensors as NumPy arrays, some of them when they are looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from model.arrays.lazy import LazyMapping, LazyRows
from model.arrays.types import Array


def stacked(stacks: Mapping[str, Sequence[Tensor]], row: int) -> LazyMapping:
    """What the layers of each stack left for one sentence of the batch, put together when it is looked at.

    Args:
        stacks: "encoder" | "decoder" -> a tensor a layer, [batch, token, d].

    Returns:
        "encoder" | "decoder" -> float32 [layer, token, d]
    """
    shapes = {stack: (len(layers), *layers[0].shape[1:]) for stack, layers in stacks.items()}
    return LazyMapping(shapes, lambda stack: to_numpy(torch.stack([layer[row] for layer in stacks[stack]])))


def table(numbers: Tensor) -> Array:
    """A table in NumPy; on a GPU each of its rows leaves it when it is looked at. [row, column]"""
    if numbers.device.type == "cpu":
        return to_numpy(numbers)
    found: Any = LazyRows(lambda start, stop: to_numpy(numbers[start:stop]), numbers.shape)
    return found


def to_numpy(tensor: Tensor) -> Array:
    """The same numbers as a read-only NumPy array; floats become float32. What is on the CPU already is not copied."""
    tensor = tensor.detach()
    array: Array = (tensor.float() if tensor.is_floating_point() else tensor).cpu().contiguous().numpy().view()
    array.flags.writeable = False
    return array
