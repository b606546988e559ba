"""A thread-safe LRU cache of computed results, bounded by their size in bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future, wait
from contextvars import ContextVar
from functools import partial
from typing import Any, TypeVar, cast

from model.errors import is_failure
from model.turns import GivenUp, wait_watched

Result = TypeVar("Result")
_computing: ContextVar[bool] = ContextVar("computing", default=False)
LARGE = 1 / 16  # share of the budget from which a result is large


def is_awaited() -> bool:
    """Whether this thread computes a result that others may wait for."""
    return _computing.get()


def given_up(error: BaseException) -> bool:
    """Whether an error says that a computation was given up by who began it, not that it failed."""
    return isinstance(error, GivenUp) or not is_failure(error)


def _is_done(pending: Future[Any], seconds: float | None) -> bool:
    return not wait([pending], seconds).not_done


class ResultCache:
    """Results by key; the least recently used ones are evicted, large ones first where they crowd. For many threads.

    Args:
        budget: the total size in bytes; a result larger than that is returned and not cached.
        held_elsewhere: bytes of the same budget that others hold, such as what sessions show; asked at each new result.
    """

    def __init__(self, budget: int, held_elsewhere: Callable[[], int] = lambda: 0) -> None:
        self.budget = budget
        self._held_elsewhere = held_elsewhere
        self._results: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()  # least recently used first
        self._pending: dict[Hashable, Future[Any]] = {}
        self._bytes = 0
        self._lock = threading.Lock()  # never held while a result is computed

    @property
    def bytes(self) -> int:
        """The total size of the cached results."""
        return self._bytes

    def get(self, key: Hashable, compute: Callable[[], Result], size_of: Callable[[Result], int]) -> Result:
        """The cached result of a key, computed first where there is none; by one thread, while others wait for it.

        Where that thread gives up, which is no failure, one of the others computes it.

        Args:
            compute: makes the result; size_of: its size in bytes.

        Raises:
            BaseException: what `compute` raised, in every thread that waited for it; it is not cached.
        """
        while True:
            with self._lock:
                if key in self._results:
                    self._results.move_to_end(key)
                    return cast(Result, self._results[key][0])
                is_first = key not in self._pending
                pending = self._pending.setdefault(key, Future())
            if is_first:
                return self._compute(key, pending, compute, size_of)
            wait_watched(partial(_is_done, pending))
            error = pending.exception()
            if error is None:
                return cast(Result, pending.result())
            if not given_up(error):
                raise error

    def _compute(
        self, key: Hashable, pending: Future[Any], compute: Callable[[], Result], size_of: Callable[[Result], int]
    ) -> Result:
        """As `get`, for the one thread that computes."""
        token = _computing.set(True)
        try:
            result = compute()
        except BaseException as error:
            with self._lock:
                del self._pending[key]
            pending.set_exception(error)
            raise
        finally:
            _computing.reset(token)
        room = self.budget - self._held_elsewhere()
        with self._lock:
            del self._pending[key]
            self._store(key, result, size_of(result), room)
        pending.set_result(result)
        return result

    def find(self, key: Hashable) -> Any:
        """The cached result of a key; None where there is none. Nothing is computed or waited for."""
        with self._lock:
            if key not in self._results:
                return None
            self._results.move_to_end(key)
            return self._results[key][0]

    def clear(self) -> None:
        """Evict all results."""
        with self._lock:
            self._results.clear()
            self._bytes = 0

    def _store(self, key: Hashable, result: object, size: int, room: int) -> None:
        """Add a result, and evict the least recently used ones until all fit into the room there is."""
        if size <= room:
            self._results[key] = (result, size)
            self._bytes += size
        while self._results and self._bytes > room:
            self._bytes -= self._results.pop(self._next_to_leave(room))[1]

    def _next_to_leave(self, room: int) -> Hashable:
        """The key of the least recently used result; while large ones fill more than half of the room, of those.

        A few whole runs would push out the maps that many sessions look at, whose models would then run again.
        """
        large = {key: size for key, (_, size) in self._results.items() if size > self.budget * LARGE}
        crowded = sum(large.values()) > room / 2
        return next(iter(large if crowded else self._results))
