"""The registry of opened models, shared by all threads; evicts the least recently used when memory runs short."""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from model.arrays.lazy import LazyRows
from model.errors import ModelError
from model.trace.lens import Lens
from model.trace.trace import Trace

Key = tuple[str, str]  # name and device


class ModelRegistry:
    """Opened models by name and device. Safe to use from many threads.

    Args:
        load: opens a model by name and device.
        check: raises a ModelError where a model of this name, and those of the further names, which are being opened,
            do not fit into the free memory.
        evict_results: frees cached results; called when no idle model is left to evict.
    """

    def __init__(
        self, load: Callable[[str, str], Lens], check: Callable[..., None], evict_results: Callable[[], None]
    ) -> None:
        self._load, self._check, self._evict_results = load, check, evict_results
        self._models: OrderedDict[Key, Lens] = OrderedDict()  # least recently used first
        self._pins: Counter[Key] = Counter()  # passes that run on a model
        self._opening: dict[Key, Future[Lens]] = {}
        self._loading: dict[Key, Future[Lens]] = {}  # those of them that there is room for
        self._lock = threading.Lock()  # never held while a model is opened
        self._room = threading.Lock()  # held while room is made for one model; never while it is opened

    def get(self, name: str, device: str) -> Lens:
        """A model, opened first if it is not open; models that are opened meanwhile do not wait for each other.

        Raises:
            ModelError: it cannot be opened, or does not fit even after all idle models and results are evicted.
        """
        return self.opening(name, device).result()

    def opening(self, name: str, device: str) -> Future[Lens]:
        """The model of `get`, now or later: it is opened in a thread of its own, once for all who ask meanwhile."""
        key = (name, device)
        with self._lock:
            if key in self._models:
                self._models.move_to_end(key)
                ready: Future[Lens] = Future()
                ready.set_result(self._models[key])
                return ready
            if key in self._opening:
                return self._opening[key]
            future = self._opening[key] = Future()
        threading.Thread(target=self._open, args=(key, future), daemon=True).start()
        return future

    def _open(self, key: Key, future: Future[Lens]) -> None:
        """Open a model, and give it or the error to all who wait."""
        try:
            self._take_room(key, future)
            lens = self._load(*key)
            # A model is hundreds of thousands of long-lived objects: exclude them from later garbage collections.
            gc.collect()
            gc.freeze()
        except BaseException as error:
            with self._lock:
                del self._opening[key]
                self._loading.pop(key, None)
            future.set_exception(error)
            return
        with self._lock:
            self._models[key] = lens
            del self._opening[key], self._loading[key]
        future.set_result(lens)

    def _take_room(self, key: Key, future: Future[Lens]) -> None:
        """Wait until there is room for a model, beside those that are being loaded; idle ones leave for it.

        Raises:
            ModelError: as `_make_room`.
        """
        while True:
            with self._room:
                with self._lock:
                    loading = dict(self._loading)
                try:
                    self._check(key[0], *(name for name, _ in loading))
                except ModelError as error:
                    if error.reason != "memory" or not loading:
                        self._make_room(key[0])
                        loading.clear()
                else:
                    loading.clear()
                if not loading:
                    if not self._models:  # imported modules are most of the objects at this point, and stay
                        gc.freeze()
                    with self._lock:
                        self._loading[key] = future
                    return
            wait(loading.values())  # what they take is known then

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

    @property
    def bytes(self) -> int:
        """The size of the parameters of all open models; 0 for those on a server."""
        with self._lock:
            modules = [getattr(lens, "module", None) for lens in self._models.values()]
        return sum(map(_parameter_bytes, modules))

    def evict_all(self) -> None:
        """Evict all models, also those that a pass runs on: they leave the memory when it ends."""
        with self._lock:
            self._models.clear()
        free_memory()

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


_sizes: WeakKeyDictionary[Any, int] = WeakKeyDictionary()  # of modules: it is asked for with each new result


def _parameter_bytes(module: Any) -> int:
    """The size of the parameters of an opened model's module; 0 for None."""
    if module is None:
        return 0
    size = _sizes.get(module)
    if size is None:
        size = _sizes[module] = sum(one.nbytes for one in module.parameters())
    return size


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
        trace,
        run_check=_weakly_bound(trace.run_check, reopen),
        find_layer=_weakly_bound(trace.find_layer, reopen),
        take_apart=None if trace.take_apart is None else _weakly_bound(trace.take_apart, reopen),
        logits=_without_model(trace.logits, reopen),
    )


def _without_model(logits: Any, reopen: Callable[[], Lens]) -> Any:
    """The same scores of words; where the model makes them anew at each access, with a weak reference to it."""
    if not isinstance(logits, LazyRows) or logits.keep:
        return logits
    return LazyRows(_weakly_bound(logits.fetch, reopen), logits.shape, keep=False)


def _weakly_bound(bound: Callable[..., Any], reopen: Callable[[], Lens]) -> Callable[..., Any]:
    """A partial method of a model, or function with it as its first argument, with a weak reference to it instead."""
    assert isinstance(bound, partial)  # as traces hold them
    method: Any = bound.func
    function = getattr(method, "__func__", method)
    model, *args = (method.__self__, *bound.args) if function is not method else bound.args
    owner, keywords = weakref.ref(model), bound.keywords
    del model

    def call(*more: Any) -> Any:
        return function(owner() or reopen(), *args, *more, **keywords)

    return call
