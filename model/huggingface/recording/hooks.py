"""Hooks on a Hugging Face model that let a pass change its positions and the output of its last layer.

The hooks stay on the module, which all threads share; what they do is set for the thread that runs the pass. Without
such a setting they do nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

from torch import Tensor, nn

from model.attention.edit_plan import current_edit_plan, move_positions
from model.decomposition.observation import find_layers
from model.turns import rest_in_slices


def hook_positions(module: nn.Module) -> bool:
    """Hook the modules that compute positions, so that edits apply; returns False where none can be moved."""
    movable = False
    word = module.get_input_embeddings()  # type: ignore[operator]
    for name, part in module.named_modules():
        last = name.rsplit(".", 1)[-1]
        rotary = isinstance(getattr(part, "inv_freq", None), Tensor)
        table = isinstance(part, nn.Embedding) and part is not word and ("position" in last or last == "wpe")
        if rotary or table:
            part.register_forward_hook(_apply_positions)
        movable |= rotary or table or hasattr(part, "relative_attention_bias")
    return movable


def _apply_positions(_: nn.Module, __: Any, output: Any) -> Any:
    """Forward hook: positional vectors in edited order; None, which keeps the output, without edits."""
    if current_edit_plan() is None:
        return None
    return tuple(map(move_positions, output)) if isinstance(output, tuple) else move_positions(output)


_running: ContextVar[int | None] = ContextVar("running", default=None)


def number_layers(module: nn.Module) -> None:
    """Hook the layers of a model in which several share one attention, so that `running_layer` tells them apart."""
    if any(is_shared(part) for part in module.modules()):
        for number, layer in enumerate(outermost_layers(module) or ()):
            layer.register_forward_pre_hook(partial(_run_layer, number))


def _run_layer(number: int, *_: Any) -> None:
    _running.set(number)


def running_layer(attention: nn.Module) -> int | None:
    """Which layer of the model an attention runs in, by its own number or, where layers share it, by which one runs.

    None where neither is known.
    """
    return _running.get() if is_shared(attention) else getattr(attention, "layer_idx", None)


def is_shared(attention: nn.Module) -> bool:
    """Whether an attention says that it is no layer's own (Zamba2)."""
    number = getattr(attention, "layer_idx", None)
    return isinstance(number, int) and number < 0


_replacement: ContextVar[tuple[nn.Module, Tensor] | None] = ContextVar("replacement", default=None)


def outermost_layers(module: nn.Module) -> nn.ModuleList | None:
    """The layers of a stack, or None where it keeps no list of them."""
    try:
        return find_layers(module)
    except ValueError:
        return None


def hook_last_block(module: nn.Module) -> nn.Module | None:
    """The last layer of the last stack, hooked for `replace_block_output`; None where no stack is found."""
    layers = outermost_layers(module)
    if layers is None:
        return None
    block = layers[-1]
    block.register_forward_hook(_apply_replacement)
    return block


def hook_slices(module: nn.Module) -> None:
    """Let others go first between the layers of passes in slices; for families with an attention of their own."""
    for part in module.modules():
        if isinstance(part, nn.ModuleList):
            for layer in part:
                layer.register_forward_hook(_rest)


def _rest(*_: Any) -> None:
    rest_in_slices()


@contextmanager
def replace_block_output(block: nn.Module, states: Tensor) -> Iterator[None]:
    """Replace a hooked block's output in this thread's passes while the block runs.

    Args:
        states: put out in place of its own, [batch, token, d_model].
    """
    token = _replacement.set((block, states))
    try:
        yield
    finally:
        _replacement.reset(token)


def _apply_replacement(block: nn.Module, _: Any, output: Any) -> Any:
    """Forward hook: the replacement states; None, which keeps the output, where none are set for this block."""
    replacement = _replacement.get()
    if replacement is None or replacement[0] is not block:
        return None
    return (replacement[1], *output[1:]) if isinstance(output, tuple) else replacement[1]
