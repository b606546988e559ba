"""The session: what is cached, and what the sidebar chose."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial

import streamlit as st

from model import load
from model.catalog.opening import check_fits
from model.memory.cached_layers import with_cached_layers
from model.memory.model_registry import ModelRegistry, without_model
from model.memory.result_cache import ResultCache
from model.remote.transport import backend
from model.trace.edits import Edits
from model.trace.lens import Lens
from model.trace.trace import Target, Trace

BUDGET = 650_000_000  # bytes of traces, maps and pictures that are kept; the allocator holds up to a quarter on top


# One pass at a time: two would share the cores and both end later.
_one_pass = threading.Lock()


_one_map = threading.Lock()


@st.cache_resource(show_spinner=False)
def kept() -> ResultCache:
    """What was computed, shared by all sessions: equal sentences are computed once."""
    return ResultCache(BUDGET)


@st.cache_resource(show_spinner=False)
def shelf() -> ModelRegistry:
    """The opened models, shared by all sessions."""
    return ModelRegistry(load, (lambda name: None) if backend() else check_fits, spill=lambda: kept().clear())


@contextmanager
def passing(name: str, device: str) -> Iterator[Lens]:
    """A model for one pass, alone on the machine's cores; it does not leave the shelf meanwhile.

    Behind an address many passes run at once: whoever is answered slowly keeps nobody else waiting.
    """
    with nullcontext() if backend() else _one_pass, shelf().using(name, device) as found:
        yield found


def in_turn() -> AbstractContextManager[object]:
    """For what a click waits for: of thirty at once each is answered after the one before, not all at the end."""
    return nullcontext() if backend() else _one_map


def run(
    name: str, device: str, texts: tuple[str | bytes, ...], targets: tuple[Target, ...], edits: Edits
) -> tuple[Trace, ...]:
    """The traces of a batch of texts or pictures; computed once, whoever asks and however often."""
    store = kept()

    def make() -> tuple[Trace, ...]:
        with passing(name, device) as opened:
            traces = opened.trace_batch(texts, targets, edits)
        return tuple(
            with_cached_layers(without_model(trace, partial(shelf().get, name, device)), store) for trace in traces
        )

    key = ("run", name, device, texts, targets, edits.text())
    return store.get(key, make, lambda traces: sum(trace.nbytes for trace in traces))
