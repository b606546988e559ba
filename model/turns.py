"""A lock for work of different lengths: between its slices long work lets short work go first."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

PACE = 0.5  # seconds between two looks of who waits

# Is called with whether this thread waits, or works; what it raises ends the wait, or the work.
Watch = Callable[[bool], None]


class GivenUp(Exception):  # noqa: N818  (not an error)
    """Raised by who watches a thread, to end its wait or its work."""


@dataclass(eq=False)
class _Hold:
    """A turn that a thread holds.

    Attributes:
        short: whether its work is short; lost: whether the thread gave it away and did not wait to get it back.
    """

    turns: Turns
    short: bool
    lost: bool = False


_held: ContextVar[tuple[_Hold, ...]] = ContextVar("held_turns", default=())  # the innermost last
_in_slices: ContextVar[bool] = ContextVar("in_slices", default=False)
_watch: ContextVar[Watch | None] = ContextVar("watch", default=None)


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
        if any(hold.turns is self for hold in _held.get()):
            yield
            return
        self._acquire(self._short if short else self._long)
        hold = _Hold(self, short)
        token = _held.set((*_held.get(), hold))
        try:
            yield
        finally:
            _held.reset(token)
            if not hold.lost:
                self._release()

    def _give_way(self, hold: _Hold, everyone: bool) -> None:
        """Let others go first; returns at once where there are none. Only for the holder."""
        with self._lock:
            others = self._short or (self._long if everyone else None)
            if not others:
                return
            first, mine = others.popleft(), threading.Event()
            queue = self._short if hold.short else self._long if everyone else self._interrupted
            queue.append(mine)
            first.set()
        try:
            self._wait(mine, queue)
        except BaseException:
            hold.lost = True
            raise

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
            wait_watched(mine.wait)
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

    Of several that it holds, it rests in the innermost. Who watches this thread may end its work here.

    Args:
        everyone: let long work go, too; for work of minutes that holds little memory.
    """
    _look(waits=False)
    if (held := _held.get()) and not held[-1].lost:
        held[-1].turns._give_way(held[-1], everyone)


def holds_turn() -> bool:
    """Whether this thread holds a `Turns`."""
    return bool(_held.get())


@contextmanager
def watched(watch: Watch) -> Iterator[None]:
    """A context in which a function looks at the waits and the long work of this thread.

    Args:
        watch: is called about every `PACE` seconds of a wait, with True, and between slices of work, with False; what
            it raises ends the wait or the work, whose turn then goes to the next.
    """
    token = _watch.set(watch)
    try:
        yield
    finally:
        _watch.reset(token)


def is_watched() -> bool:
    """Whether somebody watches this thread."""
    return _watch.get() is not None


def wait_watched(wait: Callable[[float | None], object]) -> None:
    """Wait, as somebody watches.

    Args:
        wait: waits at most so many seconds, and returns whether the wait is over; None is for as long as it takes.
    """
    if _watch.get() is None:
        wait(None)
        return
    while not wait(PACE):
        _look(waits=True)


def _look(*, waits: bool) -> None:
    watch = _watch.get()
    if watch is not None:
        watch(waits)


@contextmanager
def slices() -> Iterator[None]:
    """A context around work whose layers are slices, such as a pass: `rest_in_slices` rests in it.

    Not around a pass under a lock, or with hooks on the model of its own: others run on that model meanwhile.
    """
    token = _in_slices.set(True)
    try:
        yield
    finally:
        _in_slices.reset(token)


def rest_in_slices() -> None:
    """Between two layers: as `rest`, in a context of `slices`; else nothing."""
    if _in_slices.get():
        rest()
