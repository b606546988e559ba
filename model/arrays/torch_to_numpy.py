"""PyTorch tensors as NumPy arrays, at once or on first access."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from model.arrays.lazy import LazyMapping, LazyRows
from model.arrays.types import Array


def stack_layers(stacks: Mapping[str, Sequence[Tensor]], row: int) -> LazyMapping:
    """The states of all layers for one sentence of a batch, stacked at each access: kept, they would be there twice.

    Args:
        stacks: "encoder" | "decoder" -> one tensor a layer, [batch, token, d].
        row: index of the sentence.

    Returns:
        "encoder" | "decoder" -> float32 [layer, token, d]
    """
    shapes = {stack: (len(layers), *layers[0].shape[1:]) for stack, layers in stacks.items()}
    return LazyMapping(shapes, lambda stack: to_numpy(torch.stack([layer[row] for layer in stacks[stack]])), keep=False)


def rows_to_numpy(tensor: Tensor) -> Array:
    """A matrix as a NumPy array; from a GPU each row is copied on first access. [row, column]"""
    if tensor.device.type == "cpu":
        return to_numpy(tensor)
    rows: Any = LazyRows(lambda start, stop: to_numpy(tensor[start:stop]), tensor.shape)
    return rows


def to_numpy(tensor: Tensor) -> Array:
    """The same numbers as a read-only NumPy array; floats become float32. A float32 tensor on the CPU is not copied."""
    tensor = tensor.detach()
    array: Array = (tensor.float() if tensor.is_floating_point() else tensor).cpu().contiguous().numpy().view()
    array.flags.writeable = False
    return array
