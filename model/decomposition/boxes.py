"""The boxes of a model that can be left out of a pass: found by measuring, and left out by hooks.

The hooks stay on the module, which all threads share. They do nothing but in a pass whose edits name their box.
"""

from __future__ import annotations

import threading
import weakref
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from model.attention.edit_plan import current_edit_plan
from model.attention.projections import shallow_copy
from model.decomposition.model_parts import ModelPass
from model.decomposition.observation import find_layers
from model.decomposition.residual_stream import plan_stacks
from model.decomposition.take_apart import UNWATCHABLE
from model.errors import InputError
from model.trace.edits import Boxes, Edits


@dataclass(frozen=True)
class _Place:
    """A box: its stack, layer and kind, and the path within the model of the part whose output it adds."""

    stack: str
    layer: int
    kind: str
    path: str


_found: weakref.WeakKeyDictionary[nn.Module, tuple[Boxes, tuple[_Place, ...]]] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def hook_boxes(module: nn.Module, describe: Callable[[], ModelPass]) -> Boxes:
    """Stack -> kinds of the boxes of each layer that an edit can leave out; their parts are hooked for it, once.

    A part that several layers share, or that runs twice in a layer, is none: it would be left out everywhere.

    Args:
        describe: a short pass through the module, from which is read how it is built.
    """
    with _lock:
        if module not in _found:
            try:
                _found[module] = _hook(describe())
            except (InputError, *UNWATCHABLE):
                _found[module] = {}, ()
        return _found[module][0]


def _hook(given: ModelPass) -> tuple[Boxes, tuple[_Place, ...]]:
    """Hook the boxes of a model. given: a pass without edits"""
    plans = plan_stacks(given, shallow_copy(given.module), [*given.stacks])
    paths = {id(part): path for path, part in given.module.named_modules()}
    parts: list[tuple[str, int, str, nn.Module]] = []
    for stack, find in given.stacks.items():
        layers, plan = find_layers(find(given.module)), plans[stack].layers
        if len(layers) == len(plan):  # one module that runs as all layers would be left out of all
            for number, (layer, blocks) in enumerate(zip(layers, plan, strict=True)):
                parts += [(stack, number, block.kind, layer.get_submodule(block.adds[0])) for block in blocks]
    uses = Counter(id(part) for *_, part in parts)
    found: dict[str, list[tuple[str, ...]]] = {stack: [()] * len(plans[stack].layers) for stack in given.stacks}
    places = []
    for stack, number, kind, part in parts:
        if uses[id(part)] == 1:
            found[stack][number] = (*found[stack][number], kind)
            places.append(_Place(stack, number, kind, paths[id(part)]))
            _add_hook(part, _leave_out(stack, number, kind))
    return {stack: tuple(kinds) for stack, kinds in found.items()}, tuple(places)


def _add_hook(part: nn.Module, hook: Callable[..., Any]) -> None:
    """Add a forward hook to a module that others may run or copy meanwhile: its dictionary of hooks is replaced."""
    hooks = OrderedDict(part._forward_hooks)
    hooks[RemovableHandle(hooks).id] = hook
    part._forward_hooks = hooks


def _leave_out(stack: str, layer: int, kind: str) -> Callable[..., Any]:
    """A forward hook: zeros in place of what a box adds, where the edits of this thread's pass leave it out."""

    def hook(_: nn.Module, __: Any, output: Any) -> Any:
        plan = current_edit_plan()
        if plan is None or not plan.edits.leaves_out(stack, layer, kind):
            return None
        if isinstance(output, Tensor):
            return torch.zeros_like(output)
        return (torch.zeros_like(output[0]), *output[1:])

    return hook


def silence_weights(module: nn.Module, copied: nn.Module, edits: Edits) -> None:
    """Set the last matrix of each box that edits leave out to zero: the way of an independent run.

    Args:
        module: the model, whose boxes are known; copied: a copy of it, which gets weights of its own there.
    """
    for place in _found.get(module, ({}, ()))[1]:
        part = copied.get_submodule(place.path)
        weight = part._parameters.get("weight")
        if not edits.leaves_out(place.stack, place.layer, place.kind) or weight is None or weight.dim() != 2:
            continue
        for name, parameter in part._parameters.items():
            if parameter is not None:
                setattr(part, name, nn.Parameter(torch.zeros_like(parameter), requires_grad=False))
