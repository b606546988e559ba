"""Places in a Hugging Face model where a pass can be changed besides its attention: positions, and the last layer.

Hooks stay on the shared module; what they do is said by the thread that runs the pass, and without that, nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from torch import Tensor, nn

from model.attention.edit_plan import current, placed


def watch_positions(module: nn.Module) -> bool:
    """Let edits move the positions that a model hands out; False where it hands out none that could be moved."""
    found = False
    word = module.get_input_embeddings()  # type: ignore[operator]
    for name, part in module.named_modules():
        last = name.rsplit(".", 1)[-1]
        rotary = isinstance(getattr(part, "inv_freq", None), Tensor)
        table = isinstance(part, nn.Embedding) and part is not word and ("position" in last or last == "wpe")
        if rotary or table:
            part.register_forward_hook(_place)
        found |= rotary or table or hasattr(part, "relative_attention_bias")
    return found


def _place(_: nn.Module, __: Any, output: Any) -> Any:
    """A forward hook; without edits it returns None, which leaves the output alone."""
    if current() is None:
        return None
    return tuple(map(placed, output)) if isinstance(output, tuple) else placed(output)


_substitute: ContextVar[tuple[nn.Module, Tensor] | None] = ContextVar("substitute", default=None)


def last_block(module: nn.Module) -> nn.Module | None:
    """The last layer of the last stack, whose output the model's head builds on; None where no stack is found."""
    layers = next((part for part in module.modules() if isinstance(part, nn.ModuleList)), None)  # the outermost
    if layers is None:
        return None
    block = layers[-1]
    block.register_forward_hook(_swap)
    return block


@contextmanager
def substituting(block: nn.Module, states: Tensor) -> Iterator[None]:
    """Let a block put out these states instead of its own, inside this thread's passes. states: [batch, token, d]"""
    token = _substitute.set((block, states))
    try:
        yield
    finally:
        _substitute.reset(token)


def _swap(block: nn.Module, _: Any, output: Any) -> Any:
    wanted = _substitute.get()
    if wanted is None or wanted[0] is not block:
        return None
    return (wanted[1], *output[1:]) if isinstance(output, tuple) else wanted[1]
