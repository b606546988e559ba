"""The opened models, shared by everybody who asks; the least recently used leaves when memory runs short."""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from model.errors import ModelError
from model.trace.lens import Lens
from model.trace.trace import Trace

Key = tuple[str, str]  # name and device


class ModelRegistry:
    """Keeps models open as long as there is room; safe to use from many threads.

    Args:
        load: opens a model by name and device.
        check: raises a ModelError where a model of this name does not fit into the memory that is free now.
        spill: lets go of what else can be computed again, when no model is left that could leave.
    """

    def __init__(
        self, load: Callable[[str, str], Lens], check: Callable[[str], None], spill: Callable[[], None]
    ) -> None:
        self._load, self._check, self._spill = load, check, spill
        self._models: OrderedDict[Key, Lens] = OrderedDict()  # the least recently used first
        self._running: Counter[Key] = Counter()
        self._lock = threading.Lock()  # held for moments
        self._opening = threading.Lock()  # held while one model is opened: who asks for an open one need not wait

    def get(self, name: str, device: str) -> Lens:
        """A model, opened if it is not here.

        Raises:
            ModelError: it cannot be opened, or does not fit even when all idle models have left.
        """
        key = (name, device)
        found = self._find(key)
        if found is not None:
            return found
        with self._opening:
            found = self._find(key)
            if found is None:
                self._make_room(name)
                if not self._models:  # what importing made is most of all there is
                    gc.freeze()
                found = self._load(name, device)
                # A model is hundreds of thousands of objects that stay: the collector need not look through them again.
                gc.collect()
                gc.freeze()
                with self._lock:
                    self._models[key] = found
            return found

    @contextmanager
    def using(self, name: str, device: str) -> Iterator[Lens]:
        """A model for a pass; it does not leave before the block ends."""
        key = (name, device)
        with self._lock:
            self._running[key] += 1
        try:
            yield self.get(name, device)
        finally:
            with self._lock:
                self._running[key] -= 1

    def names(self) -> list[Key]:
        """What is open, the least recently used first."""
        with self._lock:
            return list(self._models)

    def _find(self, key: Key) -> Lens | None:
        with self._lock:
            if key in self._models:
                self._models.move_to_end(key)
            return self._models.get(key)

    def _make_room(self, name: str) -> None:
        spilled = False
        while True:
            try:
                return self._check(name)
            except ModelError:
                if not self._drop():
                    if spilled:
                        raise
                    self._spill()
                    spilled = True
            release()

    def _drop(self) -> bool:
        """Let go of the idle model that was used least recently; False where there is none."""
        with self._lock:
            idle = next((key for key in self._models if not self._running[key]), None)
            return idle is not None and self._models.pop(idle) is not None


def release() -> None:
    """Give back the memory of what nobody holds any more."""
    gc.unfreeze()  # a model that left can hold itself in circles
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


def without_model(trace: Trace, reopen: Callable[[], Lens]) -> Trace:
    """The same trace without a hold on its model, so that keeping the trace does not keep the model.

    Args:
        reopen: brings the model back where it is asked for again after it has left.
    """
    return replace(trace, check=_loose(trace.check, reopen), find=_loose(trace.find, reopen))


def _loose(bound: Callable[..., Any], reopen: Callable[[], Lens]) -> Callable[..., Any]:
    assert isinstance(bound, partial)  # of a method of the model
    method: Any = bound.func
    owner, name = weakref.ref(method.__self__), method.__name__
    args, keywords = bound.args, bound.keywords

    def again(*more: Any) -> Any:
        return getattr(owner() or reopen(), name)(*args, *more, **keywords)

    return again
