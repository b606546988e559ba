"""Attention layers of Keras on TensorFlow and JAX, whose functions PyTorch does not see."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from functools import partial, wraps
from typing import Any

import numpy as np
import torch
from torch import Tensor

from model.capture.layouts import batch_call, is_causal
from model.capture.module_path import Paths, is_keras_layer
from model.capture.watched_call import WatchedCall
from model.capture.watched_run import WatchedRun

Observer = Callable[[inspect.BoundArguments], None]

COMPILED = (
    "a layer of Keras ran as a compiled graph, which holds no numbers: call the model itself, model(batch), instead of "
    "predict or fit"
)
_runs: ContextVar[tuple[WatchedRun, ...]] = ContextVar("runs", default=())  # of this thread
_lock = threading.Lock()


@contextmanager
def in_context(run: WatchedRun) -> Iterator[None]:
    """Let observers of this thread write into a run while the block runs."""
    token = _runs.set((*_runs.get(), run))
    try:
        yield
    finally:
        _runs.reset(token)


def is_current(run: WatchedRun) -> bool:
    """Whether a run belongs to this thread."""
    return run in _runs.get()


@contextmanager
def observe_layers(run: WatchedRun, paths: Paths, relate: Callable[[Any, Any], None]) -> Iterator[None]:
    """Record the calls of a model's Keras layers in this thread while the block runs.

    Args:
        relate: called with queries and keys of a layer on PyTorch that are the same numbers; Keras makes two tensors
            of one array. What such a layer calls is seen as it is of other modules.
    """
    import keras

    on_torch, same = keras.backend.backend() == "torch", dict[int, bool]()
    with ExitStack() as stack:
        for path, layer in paths.values():
            if not is_keras_layer(layer) or not hasattr(layer, "_compute_attention"):
                continue
            note_inputs = partial(_note_inputs, same, layer, relate if on_torch else None)
            stack.enter_context(_observed(layer, "call", run, note_inputs))
            if not on_torch:
                note = partial(_note_call, run, path, layer, same)
                stack.enter_context(_observed(layer, "_compute_attention", run, note))
        yield


def observe_calls(run: WatchedRun, layer: Any) -> Any:
    """A context manager that counts the calls of a Keras layer or model."""
    return _observed(layer, "call", run, lambda _: run.begin_pass())


@contextmanager
def _observed(layer: Any, method: str, run: WatchedRun, note: Observer) -> Iterator[None]:
    """Call `note` with the arguments of each call of a layer's method in the run's thread, before the method.

    Several threads may observe one layer: its method is set back when the last of them ends.
    """
    observers: list[tuple[WatchedRun, Observer]]
    with _lock:
        own = vars(layer).get(method)
        observers = getattr(own, "_headlight_observers", None) or _install(layer, method)
        observers.append((run, note))
    try:
        yield
    finally:
        with _lock:
            observers.remove((run, note))
            if not observers:
                _uninstall(layer, method)


def _install(layer: Any, method: str) -> list[tuple[WatchedRun, Observer]]:
    """Put a wrapper around a layer's method; returns the list of its observers."""
    original, own = getattr(layer, method), vars(layer).get(method)
    signature, observers = inspect.signature(original), list[tuple[WatchedRun, Observer]]()

    @wraps(original)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        for run, note in observers:
            if is_current(run):
                try:
                    note(signature.bind(*args, **kwargs))
                except Exception as error:  # watching must never end a pass that would have run
                    run.note_failure(str(error) or type(error).__name__)
        return original(*args, **kwargs)

    wrapper._headlight_observers, wrapper._headlight_own = observers, own  # type: ignore[attr-defined]
    vars(layer)[method] = wrapper  # past Keras's own bookkeeping of attributes
    return observers


def _uninstall(layer: Any, method: str) -> None:
    own = vars(layer).pop(method)._headlight_own
    if own is not None:
        vars(layer)[method] = own


def _note_inputs(
    same: dict[int, bool], layer: Any, relate: Callable[[Any, Any], None] | None, bound: inspect.BoundArguments
) -> None:
    """Note whether a layer's queries and keys are computed from the same numbers."""
    query, key = bound.arguments["query"], bound.arguments.get("key")
    key = bound.arguments["value"] if key is None else key
    same[id(layer)] = query is key or (query.shape == key.shape and np.array_equal(_numbers(query), _numbers(key)))
    if same[id(layer)] and relate is not None:
        relate(query, key)


def _note_call(run: WatchedRun, path: str, layer: Any, same: dict[int, bool], bound: inspect.BoundArguments) -> None:
    """Record what a layer's attention computes with. query, key, value: [batch, token, head, width]"""
    given, name = bound.arguments, type(layer).__name__
    if not getattr(type(layer)._compute_attention, "__module__", "").startswith("keras."):
        raise ValueError(f"{name} computes attention in a way of its own")
    if len(given["query"].shape) != 4:
        raise ValueError(f"{name} attends over {len(given['query'].shape) - 3} axes of tokens at once")
    query, key, value = (_numbers(given[part]).transpose(0, 2, 1, 3) for part in ("query", "key", "value"))
    mask = given.get("attention_mask")
    mask = None if mask is None else _numbers(mask).astype(bool)
    if mask is not None and mask.ndim == 3:
        mask = mask[:, None]
    call = batch_call(
        _tensor(query),
        _tensor(key),
        _tensor(value),
        None if mask is None else _tensor(mask),
        causal=bool(given.get("use_causal_mask")),
        scale=float(getattr(layer, "_inverse_sqrt_key_dim", query.shape[-1] ** -0.5)),
        heads=query.shape[1],
    )
    queries, keys = query.shape[2], key.shape[2]
    kind = "decoder" if is_causal(call) else "encoder" if same.get(id(layer)) and queries == keys else "cross"
    share = getattr(layer, "_dropout", getattr(layer, "dropout", 0.0))
    dropout = float(share) if given.get("training") and isinstance(share, (int, float)) else 0.0
    run.add(WatchedCall(path, kind, run.forward_pass, "keras", name, dropout, (), [call]))


def _numbers(value: Any) -> Any:
    """A tensor of Keras's backend as a NumPy array."""
    import keras

    try:
        array = keras.ops.convert_to_numpy(value)
    except Exception as error:
        raise ValueError(COMPILED) from error
    return array if array.dtype in (np.bool_, np.float32, np.float64) else array.astype(np.float32)


def _tensor(array: Any) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))
