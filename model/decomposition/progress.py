"""How far a pass that is taken apart has come, for who waits for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Tell = Callable[[int, int], None]  # gets how many layers of a stack were read, and how many it has
_tell: ContextVar[Tell | None] = ContextVar("tell_progress", default=None)


@contextmanager
def telling(tell: Tell) -> Iterator[None]:
    """A context in which this thread's passes tell after each layer how far they have come."""
    token = _tell.set(tell)
    try:
        yield
    finally:
        _tell.reset(token)


def layer_read(number: int, count: int) -> None:
    """To be called after each layer. number: of layers that were read; count: of the stack's layers"""
    if (tell := _tell.get()) is not None:
        tell(number, count)
