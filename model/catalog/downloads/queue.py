"""Downloads of a server, one after the other: who waits for what, how far it is, and when nobody waits any more."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from model.catalog.downloads.plan import Cancelled, Plan, Report

GRACE_SECONDS = 5.0  # that a download goes on without anybody: a page that runs anew leaves and comes back


@dataclass
class Job:
    """A download that is asked for.

    Attributes:
        phase: "queued", one of `Report`, or "ended"; done, total: bytes.
        waiting: how many wait for it; left: when the last of them left.
        error: that ended it; None where it brought the model.
    """

    plan: Plan
    phase: str = "queued"
    done: int = 0
    total: int = 0
    waiting: int = 0
    left: float = 0.0
    error: BaseException | None = None
    ended: threading.Event = field(default_factory=threading.Event)

    def is_wanted(self) -> bool:
        """Whether anybody waits for it, or did a moment ago."""
        return self.waiting > 0 or time.monotonic() - self.left < GRACE_SECONDS


class DownloadQueue:
    """Runs one download at a time, in the order in which they were asked for. Safe to use from many threads.

    Args:
        fetch: downloads what a plan says, as `model.catalog.fetching.fetch`.
    """

    def __init__(self, fetch: Callable[[Plan, Report], object]) -> None:
        self._fetch = fetch
        self._jobs: list[Job] = []  # the first one runs
        self._lock = threading.Lock()

    def find(self, name: str) -> Job | None:
        """The download of a model that has been asked for and has not ended."""
        with self._lock:
            return next((job for job in self._jobs if job.plan.name == name), None)

    def before(self, job: Job) -> list[str]:
        """The names of the models that are fetched before this one, the running one first."""
        with self._lock:
            place = self._jobs.index(job) if job in self._jobs else 0
            return [one.plan.name for one in self._jobs[:place]]

    @contextmanager
    def waiting(self, plan: Plan) -> Iterator[Job]:
        """A context in which somebody waits for a download, together with all who want the same model.

        A download for which nobody waits any more ends soon; what has come of it is kept.
        """
        with self._lock:
            job = next((one for one in self._jobs if one.plan.name == plan.name), None)
            if job is None:
                job = Job(plan, total=plan.size)
                self._jobs.append(job)
                if len(self._jobs) == 1:
                    threading.Thread(target=self._run, daemon=True, name="downloads").start()
            job.waiting += 1
        try:
            yield job
        finally:
            with self._lock:
                job.waiting -= 1
                job.left = time.monotonic()

    def leave(self, job: Job) -> None:
        """End a download at once unless others wait for it; for the one who pressed Cancel and has left."""
        job.left = -GRACE_SECONDS

    def _run(self) -> None:
        """Run the downloads that are asked for until there are none."""
        while True:
            with self._lock:
                if not self._jobs:
                    return
                job = self._jobs[0]
            try:
                if job.is_wanted():
                    self._fetch(job.plan, self._reporter(job))
                else:
                    job.error = Cancelled()
            # Whatever it is, the ones who wait are told, and the next download begins.
            except BaseException as error:
                job.error = error
            with self._lock:
                self._jobs.remove(job)
                job.phase = "ended"
                more = bool(self._jobs)
            job.ended.set()
            if not more:
                return

    def _reporter(self, job: Job) -> Report:
        def report(phase: str, done: int, total: int) -> None:
            job.phase, job.done, job.total = phase, done, total
            if not job.is_wanted():
                raise Cancelled

        return report
