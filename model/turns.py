"""A lock whose holder lets others go first between the slices of long work, in the order in which they came."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_held: ContextVar[Turns | None] = ContextVar("held_turns", default=None)


class Turns:
    """A lock that is given to whoever waits longest."""

    def __init__(self) -> None:
        self._waiting: deque[threading.Event] = deque()
        self._taken = False
        self._lock = threading.Lock()  # held for moments only

    @contextmanager
    def held(self) -> Iterator[None]:
        """A context that one thread at a time is in; `rest` in it gives others their turn. Inside it does nothing."""
        if _held.get() is self:
            yield
            return
        self._acquire()
        token = _held.set(self)
        try:
            yield
        finally:
            _held.reset(token)
            self._release()

    def give_way(self) -> None:
        """Let those who wait have one turn each; returns at once where nobody waits. Only for the holder."""
        with self._lock:
            if not self._waiting:
                return
            mine = threading.Event()
            self._waiting.append(mine)
            self._waiting.popleft().set()
        self._wait(mine)

    def _acquire(self) -> None:
        with self._lock:
            if not self._taken:
                self._taken = True
                return
            mine = threading.Event()
            self._waiting.append(mine)
        self._wait(mine)

    def _wait(self, mine: threading.Event) -> None:
        try:
            mine.wait()
        except BaseException:  # the turn must not be lost with who gave up waiting for it
            with self._lock:
                if mine in self._waiting:
                    self._waiting.remove(mine)
                    raise
            self._release()
            raise

    def _release(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._taken = False


def rest() -> None:
    """Between two slices of long work: let others go first, where this thread holds a `Turns`; else nothing."""
    turns = _held.get()
    if turns is not None:
        turns.give_way()
