"""Memory that one large map after another is computed in: new memory takes longer to come than the numbers in it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_rooms: ContextVar[dict[object, Tensor] | None] = ContextVar("rooms", default=None)


def reuse() -> None:
    """In this thread `room` gives the same memory again, until the thread ends."""
    _rooms.set({})


@contextmanager
def reused() -> Iterator[None]:
    """Inside this block `room` gives the same memory again; it is free when the block ends."""
    token = _rooms.set({})
    try:
        yield
    finally:
        _rooms.reset(token)


def room(name: str, shape: Sequence[int], device: torch.device) -> Tensor | None:
    """Where PyTorch may write a result (its `out`), over what was there before. float32 [*shape]

    Returns:
        None where neither `reused` nor `reuse` is at work: PyTorch then takes new memory.
    """
    rooms = _rooms.get()
    if rooms is None:
        return None
    import torch

    key, size = (name, device), math.prod(shape)
    if key not in rooms or len(rooms[key]) < size:
        rooms[key] = torch.empty(size, device=device)
    return rooms[key][:size].view(*shape)
