"""State of the server that all sessions share: the result cache, the opened models, and locks around the processor."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial

from model import load
from model.catalog.opening import check_model_fits
from model.memory.cached_layers import with_cached_layers
from model.memory.model_registry import ModelRegistry, detach_from_model
from model.memory.result_cache import ResultCache
from model.remote.transport import backend_address
from model.trace.edits import Edits
from model.trace.finite import check_finite
from model.trace.lens import Lens
from model.trace.trace import Target, Trace

CACHE_BYTES = 650_000_000  # of cached traces, maps and pictures; the memory allocator holds up to a quarter on top

_model_lock = threading.Lock()  # one forward pass at a time: two would share the cores and both end later
_figure_lock = threading.Lock()


def _check_fits(name: str) -> None:
    """As `check_model_fits`; with a remote backend, which opens the models itself, nothing is checked."""
    if not backend_address():
        check_model_fits(name)


# At module level, and made once by the import: `st.cache_resource` is emptied by a message that any browser may send.
# Each has a lock of its own.
_result_cache = ResultCache(CACHE_BYTES)
_model_registry = ModelRegistry(load, _check_fits, evict_results=_result_cache.clear)


def result_cache() -> ResultCache:
    """The cache of computed results, shared by all sessions: equal inputs are computed once."""
    return _result_cache


def model_registry() -> ModelRegistry:
    """The registry of opened models, shared by all sessions."""
    return _model_registry


def drop_all() -> None:
    """Drop all opened models and computed results and free their memory, as for a server that has just started."""
    _result_cache.clear()
    _model_registry.evict_all()


@contextmanager
def running_model(name: str, device: str) -> Iterator[Lens]:
    """A context with a model for one forward pass: no other pass runs meanwhile, and the registry keeps the model.

    With a remote backend (`model.remote`) passes are not serialized: the backend schedules them.
    """
    with nullcontext() if backend_address() else _model_lock, model_registry().pinned(name, device) as model:
        yield model


def one_at_a_time() -> AbstractContextManager[object]:
    """A context that one session at a time enters, for work between a click and its figure.

    Without it, thirty simultaneous clicks would all be answered at the end of the total time instead of one by one.
    With a remote backend it does nothing.
    """
    return nullcontext() if backend_address() else _figure_lock


def cached_traces(
    name: str, device: str, texts: tuple[str | bytes, ...], targets: tuple[Target, ...], edits: Edits
) -> tuple[Trace, ...]:
    """The traces of a batch of texts or pictures, from the result cache or computed by one forward pass.

    Args:
        name: catalog id, hub id or folder of the model.
        device: as `model.load` takes it.
        texts: the inputs of the batch; a picture is a path or the bytes of its file.
        targets: forced output of each input, None for the model's own.
        edits: changes applied during the pass.

    Raises:
        InputError: a text or picture cannot be fed to the model.
        ModelError: the model cannot be opened.
    """
    cache = result_cache()

    def make() -> tuple[Trace, ...]:
        with running_model(name, device) as model:
            traces = model.trace_batch(texts, targets, edits)
        if not backend_address():  # the backend has looked at its own
            check_finite(traces)
        return tuple(
            with_cached_layers(detach_from_model(trace, partial(model_registry().get, name, device)), cache)
            for trace in traces
        )

    key = ("run", name, device, texts, targets, edits.text())
    return cache.get(key, make, lambda traces: sum(trace.nbytes for trace in traces))
