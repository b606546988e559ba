"""Work of the lab in the background: one run at a time on this server, with progress and an end.

A run goes on while somebody looks at its page, in a thread of its own; it ends when nobody has looked for two minutes.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from model.turns import GivenUp, watched
from viz.frame import server_state

FORGOTTEN = 120.0  # seconds after which nobody looks any more; browsers slow down pages in the background

Show = Callable[[float], None]  # the share done, from 0 to 1


@dataclass(eq=False)
class LabRun:
    """A run that a page waits for.

    Attributes:
        make: computes the result; size_of: its bytes; share: done, from 0 to 1.
        asked: when a page asked last; done: the result, or what went wrong, or `GivenUp`.
    """

    key: Hashable
    make: Callable[[Show], Any]
    size_of: Callable[[Any], int]
    share: float = 0.0
    asked: float = field(default_factory=time.monotonic)
    stopped: threading.Event = field(default_factory=threading.Event)
    begun: threading.Event = field(default_factory=threading.Event)
    done: Future[Any] = field(default_factory=Future)

    def show(self, share: float) -> None:
        """Note the share done.

        Raises:
            GivenUp: the run was stopped, nobody looks any more, or the server ends.
        """
        self.share = share
        if self.stopped.is_set() or self.forgotten or not threading.main_thread().is_alive():
            raise GivenUp

    @property
    def forgotten(self) -> bool:
        """Whether nobody has asked for a while."""
        return time.monotonic() - self.asked > FORGOTTEN


class LabRuns:
    """Runs in the order in which they were asked for, made by one thread. For many threads."""

    def __init__(self) -> None:
        self._runs: dict[Hashable, LabRun] = {}
        self._queue: deque[LabRun] = deque()
        self._lock = threading.Lock()
        self._works = False

    def begin(self, key: Hashable, make: Callable[[Show], Any], size_of: Callable[[Any], int]) -> None:
        """Have a result computed and put into the result cache, unless that is under way."""
        with self._lock:
            known = self._runs.get(key)
            if known is not None and not known.done.done() and not known.stopped.is_set():
                known.asked = time.monotonic()
                return
            run = self._runs[key] = LabRun(key, make, size_of)
            self._queue.append(run)
            if not self._works:
                self._works = True
                threading.Thread(target=self._work, name="lab", daemon=True).start()

    def find(self, key: Hashable) -> LabRun | None:
        """The run of a key, and note that somebody looks; None where there is none, or it was stopped."""
        with self._lock:
            run = self._runs.get(key)
            if run is None or run.stopped.is_set():
                return None
            run.asked = time.monotonic()
            return run

    def before(self, run: LabRun) -> int:
        """The number of runs that go first."""
        with self._lock:
            first = [one for one in self._runs.values() if one.begun.is_set() and not one.done.done()]
            return (self._queue.index(run) if run in self._queue else 0) + len([one for one in first if one is not run])

    def end(self, key: Hashable) -> None:
        """Stop a run, or forget one that ended."""
        with self._lock:
            run = self._runs.pop(key, None)
        if run is not None:
            run.stopped.set()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._queue:
                    self._works = False
                    return
                run = self._queue.popleft()
                run.begun.set()
            self._make(run)

    def _make(self, run: LabRun) -> None:
        try:
            run.show(0.0)
            with watched(lambda waits: run.show(run.share)):
                made = run.make(run.show)
            server_state.result_cache().get(run.key, lambda: made, run.size_of)
            run.done.set_result(made)
        except BaseException as error:  # a panic of Rust code is no Exception
            run.done.set_exception(error)
        with self._lock:
            self._runs = {key: one for key, one in self._runs.items() if not (one.done.done() and one.forgotten)}


_runs = LabRuns()


def lab_runs() -> LabRuns:
    """The runs of this server, shared by all sessions."""
    return _runs
