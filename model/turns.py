"""A lock for work of different lengths: between its slices long work lets short work go first."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

# Those that this thread holds, the innermost last, and whether for short work.
_held: ContextVar[tuple[tuple[Turns, bool], ...]] = ContextVar("held_turns", default=())
_in_slices: ContextVar[bool] = ContextVar("in_slices", default=False)


class Turns:
    """A lock that is given to short work first, then to long work that was interrupted, then to whoever waits longest.

    At most one long pass is interrupted at a time: each holds memory.
    """

    def __init__(self) -> None:
        self._short: deque[threading.Event] = deque()
        self._interrupted: deque[threading.Event] = deque()
        self._long: deque[threading.Event] = deque()
        self._taken = False
        self._lock = threading.Lock()  # held for moments only

    @contextmanager
    def held(self, short: bool = False) -> Iterator[None]:
        """A context that one thread at a time is in; inside itself it does nothing. short: the work is done soon"""
        if any(turns is self for turns, _ in _held.get()):
            yield
            return
        self._acquire(self._short if short else self._long)
        token = _held.set((*_held.get(), (self, short)))
        try:
            yield
        finally:
            _held.reset(token)
            self._release()

    def give_way(self, short: bool, everyone: bool) -> None:
        """Let others go first; returns at once where there are none. Only for the holder.

        Args:
            short: whether the holder's work is short.
            everyone: let one who waits with long work go, too, where nobody waits with short work.
        """
        with self._lock:
            others = self._short or (self._long if everyone else None)
            if not others:
                return
            first, mine = others.popleft(), threading.Event()
            queue = self._short if short else self._long if everyone else self._interrupted
            queue.append(mine)
            first.set()
        self._wait(mine, queue)

    def _acquire(self, queue: deque[threading.Event]) -> None:
        with self._lock:
            if not self._taken:
                self._taken = True
                return
            mine = threading.Event()
            queue.append(mine)
        self._wait(mine, queue)

    def _wait(self, mine: threading.Event, queue: deque[threading.Event]) -> None:
        try:
            mine.wait()
        except BaseException:  # the turn must not be lost with who gave up waiting for it
            with self._lock:
                if mine in queue:
                    queue.remove(mine)
                    raise
            self._release()
            raise

    def _release(self) -> None:
        with self._lock:
            queue = self._short or self._interrupted or self._long
            if queue:
                queue.popleft().set()
            else:
                self._taken = False


def rest(everyone: bool = False) -> None:
    """Between two slices of work: let short work go first, where this thread holds a `Turns`; else nothing.

    Of several that it holds, it rests in the innermost.

    Args:
        everyone: let long work go, too; for work of minutes that holds little memory.
    """
    if held := _held.get():
        turns, short = held[-1]
        turns.give_way(short, everyone)


def holds_turn() -> bool:
    """Whether this thread holds a `Turns`."""
    return bool(_held.get())


@contextmanager
def slices() -> Iterator[None]:
    """A context around a pass whose layers are slices: `rest_in_slices` rests in it.

    Not around a pass with hooks on the model of its own: others run on that model meanwhile.
    """
    token = _in_slices.set(True)
    try:
        yield
    finally:
        _in_slices.reset(token)


def rest_in_slices() -> None:
    """Between two layers of a pass: as `rest`, in a context of `slices`; else nothing."""
    if _in_slices.get():
        rest()
