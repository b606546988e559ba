"""Reusable scratch memory for large maps: allocating fresh memory takes longer than computing what goes into it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_buffers: ContextVar[dict[object, Tensor] | None] = ContextVar("buffers", default=None)


def reuse_buffers_in_thread() -> None:
    """Makes `scratch_buffer` hand out the same memory again in this thread, until the thread ends."""
    _buffers.set({})


@contextmanager
def reuse_buffers() -> Iterator[None]:
    """Makes `scratch_buffer` hand out the same memory again inside this block; freed when the block ends."""
    token = _buffers.set({})
    try:
        yield
    finally:
        _buffers.reset(token)


def scratch_buffer(name: str, shape: Sequence[int], device: torch.device) -> Tensor | None:
    """Memory for PyTorch's `out=`, which overwrites what the buffer of that name held. float32 [*shape]

    Returns:
        None outside `reuse_buffers` and `reuse_buffers_in_thread`: PyTorch then allocates.
    """
    buffers = _buffers.get()
    if buffers is None:
        return None
    import torch

    key, size = (name, device), math.prod(shape)
    if key not in buffers or len(buffers[key]) < size:
        buffers[key] = torch.empty(size, device=device)
    return buffers[key][:size].view(*shape)
