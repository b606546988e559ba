"""A block in which the attention of any model in memory is watched."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

from model.capture.interception import AttentionInterception
from model.capture.keras_layers import in_context, is_current, observe_calls, observe_layers
from model.capture.module_path import is_keras_layer, module_paths
from model.capture.token_names import TokenNames
from model.capture.watched_run import WatchedRun


@contextmanager
def watch_module(module: Any, tokens: Any = None) -> Iterator[WatchedRun]:
    """What the attention of a module computes while the block runs; see `model.watch`."""
    if not isinstance(module, nn.Module) and not is_keras_layer(module):
        inner = " Give the module that it holds." if hasattr(module, "module") or hasattr(module, "model") else ""
        raise TypeError(f"watch takes a torch.nn.Module or a layer of Keras 3; got {module!r}.{inner}")
    paths = module_paths(module)
    run = WatchedRun(type(module).__name__, TokenNames.read(tokens), _remarks(module))
    interception = AttentionInterception(run, paths)
    with ExitStack() as stack:
        stack.enter_context(in_context(run))
        if any(is_keras_layer(one) for _, one in paths.values()):
            stack.enter_context(observe_layers(run, paths, interception.relate))
        if is_keras_layer(module):
            stack.enter_context(observe_calls(run, module))
        else:
            hook = module.register_forward_pre_hook(lambda *_: run.begin_pass() if is_current(run) else None)
            stack.callback(hook.remove)
        if _is_compiled(module):
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        stack.enter_context(interception)
        try:
            yield run
        except AssertionError as error:
            if "NestedTensor" not in str(error):
                raise
            raise ValueError(
                "nn.MultiheadAttention reads nested tensors in its fused fast path alone, which hides the attention. "
                "Give the padded batch with src_key_padding_mask instead."
            ) from error
    for reason in run.failures:
        warnings.warn(f"Attention in {type(module).__name__} could not be recorded: {reason}.", stacklevel=3)


def _is_compiled(module: Any) -> bool:
    """Whether a module, or one in it, was given to `torch.compile`, whose kernels no function call shows."""
    parts = module.modules() if isinstance(module, nn.Module) else ()
    return any(type(one).__name__ == "OptimizedModule" or getattr(one, "_compiled_call_impl", None) for one in parts)


def _remarks(module: Any) -> tuple[str, ...]:
    """Sentences on parts of a module that cannot be seen into."""
    parts = list(module.modules()) if isinstance(module, nn.Module) else []
    remarks = []
    if any(isinstance(one, torch.jit.ScriptModule) for one in parts):
        remarks.append("Parts of it are TorchScript, which runs outside of Python: watch the module before torch.jit.")
    if any(isinstance(one, nn.DataParallel) for one in parts):
        remarks.append("nn.DataParallel runs in threads of its own: watch the module that it holds.")
    return tuple(remarks)
