"""The registry of opened models, shared by all threads; evicts the least recently used when memory runs short."""

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
    """Opened models by name and device. Safe to use from many threads.

    Args:
        load: opens a model by name and device.
        check: raises a ModelError where a model of this name does not fit into the free memory.
        evict_results: frees cached results; called when no idle model is left to evict.
    """

    def __init__(
        self, load: Callable[[str, str], Lens], check: Callable[[str], None], evict_results: Callable[[], None]
    ) -> None:
        self._load, self._check, self._evict_results = load, check, evict_results
        self._models: OrderedDict[Key, Lens] = OrderedDict()  # least recently used first
        self._pins: Counter[Key] = Counter()  # passes that run on a model
        self._lock = threading.Lock()  # never held while a model is opened
        self._opening = threading.Lock()  # held while a model is opened; models that are open can be had meanwhile

    def get(self, name: str, device: str) -> Lens:
        """A model, opened first if it is not open.

        Raises:
            ModelError: it cannot be opened, or does not fit even after all idle models and results are evicted.
        """
        key = (name, device)
        lens = self._find(key)
        if lens is not None:
            return lens
        with self._opening:
            lens = self._find(key)
            if lens is None:
                self._make_room(name)
                if not self._models:  # imported modules are most of the objects at this point, and stay
                    gc.freeze()
                lens = self._load(name, device)
                # A model is hundreds of thousands of long-lived objects: exclude them from later garbage collections.
                gc.collect()
                gc.freeze()
                with self._lock:
                    self._models[key] = lens
            return lens

    @contextmanager
    def pinned(self, name: str, device: str) -> Iterator[Lens]:
        """A model for a pass, opened first if it is not open; it is not evicted before the block ends."""
        key = (name, device)
        with self._lock:
            self._pins[key] += 1
        try:
            yield self.get(name, device)
        finally:
            with self._lock:
                self._pins[key] -= 1

    def open_keys(self) -> list[Key]:
        """Name and device of every open model, least recently used first."""
        with self._lock:
            return list(self._models)

    def evict_all(self) -> None:
        """Evict all models, also those that a pass runs on: they leave the memory when it ends."""
        with self._lock:
            self._models.clear()
        free_memory()

    def _find(self, key: Key) -> Lens | None:
        """An open model, marked as the most recently used."""
        with self._lock:
            if key in self._models:
                self._models.move_to_end(key)
            return self._models.get(key)

    def _make_room(self, name: str) -> None:
        """Evict idle models, then results, until the memory check passes; raises its last error if it never does."""
        results_evicted = False
        while True:
            try:
                return self._check(name)
            except ModelError as error:
                if error.reason != "memory":  # no room would help
                    raise
                if not self._evict_model():
                    if results_evicted:
                        raise
                    self._evict_results()
                    results_evicted = True
            free_memory()

    def _evict_model(self) -> bool:
        """Evict the least recently used idle model; False where there is none."""
        with self._lock:
            idle = next((key for key in self._models if not self._pins[key]), None)
            return idle is not None and self._models.pop(idle) is not None


def free_memory() -> None:
    """Collect unreachable objects, evicted models included, and empty the CUDA allocator's cache."""
    gc.unfreeze()  # an evicted model can be in reference cycles, which only a collection of all objects frees
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


def detach_from_model(trace: Trace, reopen: Callable[[], Lens]) -> Trace:
    """The same trace with weak references to its model, so that a cached trace does not keep the model in memory.

    Args:
        reopen: opens the model again where the trace needs it after it was evicted.
    """
    return replace(
        trace, run_check=_weakly_bound(trace.run_check, reopen), find_layer=_weakly_bound(trace.find_layer, reopen)
    )


def _weakly_bound(bound: Callable[..., Any], reopen: Callable[[], Lens]) -> Callable[..., Any]:
    """A partial method of a model with a weak reference to the model instead."""
    assert isinstance(bound, partial)  # of a method of the model, as traces hold them
    method: Any = bound.func
    owner, name = weakref.ref(method.__self__), method.__name__
    args, keywords = bound.args, bound.keywords

    def call(*more: Any) -> Any:
        return getattr(owner() or reopen(), name)(*args, *more, **keywords)

    return call
