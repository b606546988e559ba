"""What was computed and may be asked for again, up to a number of bytes; the least recently used leaves first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any, TypeVar, cast

T = TypeVar("T")


class ResultCache:
    """Results by key, bounded by the memory they take together; safe to use from many threads.

    Args:
        budget: in bytes; a result larger than that is handed out and not kept.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self._results: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()  # the least recently used first
        self._awaited: dict[Hashable, Future[Any]] = {}
        self._bytes = 0
        self._lock = threading.Lock()  # held for moments, never while something is computed

    @property
    def bytes(self) -> int:
        """What is kept now."""
        return self._bytes

    def get(self, key: Hashable, make: Callable[[], T], size: Callable[[T], int]) -> T:
        """A result; made where it is not here, once even where many ask for it at the same time.

        Whatever `make` raises reaches everybody who waited for it, and is not kept.
        """
        with self._lock:
            if key in self._results:
                self._results.move_to_end(key)
                return cast(T, self._results[key][0])
            mine = key not in self._awaited
            awaited = self._awaited.setdefault(key, Future())
        if not mine:
            return cast(T, awaited.result())
        try:
            made = make()
        except BaseException as error:
            with self._lock:
                del self._awaited[key]
            awaited.set_exception(error)
            raise
        with self._lock:
            del self._awaited[key]
            self._keep(key, made, size(made))
        awaited.set_result(made)
        return made

    def clear(self) -> None:
        """Let go of everything."""
        with self._lock:
            self._results.clear()
            self._bytes = 0

    def _keep(self, key: Hashable, made: object, size: int) -> None:
        if size > self.budget:
            return
        self._results[key] = (made, size)
        self._bytes += size
        while self._bytes > self.budget:
            _, (_, freed) = self._results.popitem(last=False)
            self._bytes -= freed
