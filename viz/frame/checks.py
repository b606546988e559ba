"""Verdicts on runs: on short texts at once, on long ones one at a time, once nobody waits for a page of such a text."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np

from model.memory.keyed_traces import runs_held
from model.trace.check import Check, Probe
from model.trace.trace import Trace
from viz.frame import server_state

FORGOTTEN = 60.0  # seconds after which nobody looks at a page any more that has not asked again


@dataclass(eq=False)
class Wanted:
    """A check that a page waits for.

    Attributes:
        make: makes it; asked: when a page asked for it last; done: the check, or None where nobody waited any more.
    """

    make: Callable[[], Check]
    asked: float = 0.0
    done: Future[Check | None] = field(default_factory=Future)


class CheckQueue:
    """Checks in the order in which they were first asked for, made by one thread. For many threads."""

    def __init__(self) -> None:
        self._wanted: dict[Hashable, Wanted] = {}
        self._queue: deque[Wanted] = deque()
        self._lock = threading.Lock()
        self._works = False

    def find(self, key: Hashable, make: Callable[[], Check]) -> Check | None:
        """The check of a key; None while it waits for its turn, or is made. make: makes it, and notes it elsewhere

        Raises:
            BaseException: what `make` raised, once.
        """
        with self._lock:
            wanted = self._wanted.get(key)
            if wanted is None:
                wanted = self._wanted[key] = Wanted(make)
                self._queue.append(wanted)
            wanted.asked = time.monotonic()
            if self._queue and not self._works:
                self._works = True
                threading.Thread(target=self._work, name="checks").start()
            if not wanted.done.done():
                return None
            del self._wanted[key]
        return wanted.done.result()

    def _work(self) -> None:
        """Make the checks that wait, until there are none or the server ends."""
        while True:
            with self._lock:
                if not self._queue or not threading.main_thread().is_alive():
                    self._works = False
                    return
                wanted = self._queue.popleft()
            self._make(wanted)

    def _make(self, wanted: Wanted) -> None:
        if time.monotonic() - wanted.asked > FORGOTTEN:
            wanted.done.set_result(None)  # who comes back asks again
            return
        try:
            with runs_held():
                wanted.done.set_result(wanted.make())
        except BaseException as error:  # a panic of Rust code is no Exception
            wanted.done.set_exception(error)


_queue = CheckQueue()


def find_check(trace: Trace) -> Check | None:
    """The verdict on a run; None while that of a long text waits for its turn, or is made."""
    if trace.is_verified or not server_state.is_long(len(trace.text)):
        return trace.verify()
    return _queue.find(("check", trace.serial), trace.verify)


def find_probe_check(trace: Trace, name: str, probe: Probe) -> Check | None:
    """The verdict on what was measured of a run, cached; None as for `find_check`. name: of the measurement"""
    arrays = (*(probe.lens or ()), *(probe.effects or {}).values(), *(probe.neurons or {}).values())
    arrays += () if probe.guess is None else (np.array(probe.guess[0]), probe.guess[1])
    key = ("probe_check", trace.serial, name, hash(tuple(one.tobytes() for one in arrays)))
    cache = server_state.result_cache()

    def make() -> Check:
        found: Check = cache.get(key, lambda: trace.verify_probe(probe), lambda check: 200 * (1 + len(check.parts)))
        return found

    if cache.find(key) is not None or not server_state.is_long(len(trace.text)):
        return make()
    return _queue.find(key, make)
