"""The boxes of a model, and their norms, that can be left out of a pass: found by measuring, and left out by hooks.

The hooks stay on the module, which all threads share. They do nothing but in a pass whose edits name their box.
"""

from __future__ import annotations

import threading
import weakref
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from model.attention.edit_plan import current_edit_plan
from model.attention.projections import shallow_copy
from model.decomposition.model_parts import ModelPass
from model.decomposition.norms import normalized, stock_norm
from model.decomposition.observation import find_layers
from model.decomposition.plans.block_plan import BlockPlan, Key
from model.decomposition.plans.stack_plan import StackPlan
from model.decomposition.residual_stream import plan_stacks
from model.decomposition.take_apart import UNWATCHABLE
from model.errors import InputError
from model.trace.boxes.stack import EMBEDDING, FINAL, part_of
from model.trace.edits import Boxes, Edits


@dataclass(frozen=True, eq=False)
class _Runs:
    """Counts, in each thread's pass, the runs of the one module that is all layers of a stack.

    Attributes:
        path: of that module within the model; now: `number` is the layer that runs.
    """

    path: str
    now: threading.local = field(default_factory=threading.local)

    def restart(self) -> None:
        """To be called before the stack runs."""
        self.now.number = -1

    def count(self) -> None:
        """To be called before each layer runs."""
        self.now.number = getattr(self.now, "number", -1) + 1


@dataclass(frozen=True)
class _Place:
    """A box, or a part of its norm: its stack, layer and kind, and the path within the model of what computes it.

    Attributes:
        runs: where one module runs as all layers, which of them runs.
    """

    stack: str
    layer: int
    kind: str
    path: str
    runs: _Runs | None = None

    def is_left_out(self, edits: Edits) -> bool:
        """Whether it is left out of what runs now."""
        runs = self.runs is None or self.runs.now.number == self.layer
        return runs and edits.leaves_out(self.stack, self.layer, self.kind)


_found: weakref.WeakKeyDictionary[nn.Module, tuple[Boxes, tuple[_Place, ...]]] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def hook_boxes(module: nn.Module, describe: Callable[[], ModelPass]) -> Boxes:
    """Stack -> kinds of what edits can leave out of each layer, boxes first; their parts are hooked for it, once.

    A part that some layers share, or that runs twice in a layer, is none: it would be left out everywhere. Where one
    module runs as all layers (ALBERT), its runs are told apart.

    Args:
        describe: a short pass through the module, from which is read how it is built.
    """
    if module not in _found:
        try:  # in slices, as any pass; another thread may read the same meanwhile
            given = describe()
            plans = plan_stacks(given, shallow_copy(given.module), [*given.stacks])
        except (InputError, *UNWATCHABLE):
            given, plans = None, {}
        with _lock:  # nothing is computed in it: who had its turn meanwhile might wait for it
            if module not in _found:
                _found[module] = ({}, ()) if given is None else _hooked(given, plans)
    return _found[module][0]


def _hooked(given: ModelPass, plans: Mapping[str, StackPlan]) -> tuple[Boxes, tuple[_Place, ...]]:
    """As `_hook`; nothing where the parts of the model are not where its pass showed them."""
    try:
        return _hook(given, plans)
    except (InputError, *UNWATCHABLE):
        return {}, ()


def _hook(given: ModelPass, plans: Mapping[str, StackPlan]) -> tuple[Boxes, tuple[_Place, ...]]:
    """Hook the boxes of a model. given: a pass without edits; plans: how its stacks are built"""
    paths = {id(part): path for path, part in given.module.named_modules()}
    named: list[_Place] = []
    for stack, find in given.stacks.items():
        module, plan = find(given.module), plans[stack].layers
        layers, runs = find_layers(module), None
        if len(layers) == 1 < len(plan):
            runs = _Runs(paths[id(layers[0])])
            for part, act in ((module, runs.restart), (layers[0], runs.count)):
                _add_hook(part, _called(act), before=True)
        if runs is not None or len(layers) == len(plan):
            for number, blocks in enumerate(plan):
                layer = layers[0 if runs else number]
                keys = [(block.kind, block.adds) for block in blocks]
                keys += [norm for block in blocks for norm in _norms(block)]
                named += [
                    _Place(stack, number, kind, paths[id(layer.get_submodule(key[0]))], runs) for kind, key in keys
                ]
            named += [
                _Place(stack, layer, f"{end}_{part}", path)
                for end, layer, path in (
                    (EMBEDDING, 0, plans[stack].embedding.norm),
                    (FINAL, len(plan) - 1, plans[stack].final_norm),
                )
                for part in ("norm", "gain")
                if path is not None
            ]
    # A norm of what a box adds is hooked twice, for the box and for itself.
    uses = Counter(map(_use, named))
    places = [place for place in named if uses[_use(place)] == 1 and _does_something(given.module, place)]
    found: dict[str, list[tuple[str, ...]]] = {stack: [()] * len(plans[stack].layers) for stack in given.stacks}
    for place in sorted(places, key=_strength):
        _add_hook(given.module.get_submodule(place.path), _leave_out(place))
    for place in places:
        found[place.stack][place.layer] = (*found[place.stack][place.layer], place.kind)
    return {stack: tuple(kinds) for stack, kinds in found.items()}, tuple(places)


def _does_something(module: nn.Module, place: _Place) -> bool:
    """False for the gain of a norm that has none."""
    return not part_of(place.kind)[1].startswith("gain") or any(
        True for _ in module.get_submodule(place.path).parameters()
    )


def _called(act: Callable[[], None]) -> Callable[..., None]:
    """A hook that calls a function. Copies of a model copy bound methods with what they belong to, but no functions."""
    return lambda *_: act()


def _use(place: _Place) -> tuple[str, str, int | None]:
    """What is the same for two places that cannot be left out one without the other."""
    return place.path, part_of(place.kind)[1], None if place.runs is None else place.layer


def _strength(place: _Place) -> int:
    """Which of several parts left out of one module counts: a box over its norm, and a norm over its gain."""
    which = part_of(place.kind)[1]
    return 2 if not which else int(which.startswith("norm"))


def _norms(block: BlockPlan) -> list[tuple[str, Key]]:
    """The parts of a block's norms: their kinds, and the keys of the norms."""
    keys = [key for key in (block.norm_before, block.norm_after, block.sum_norm) if key is not None]
    ends = zip(keys, ("", "_after"), strict=False)
    return [(f"{block.kind}_{part}{end}", key) for key, end in ends for part in ("norm", "gain")]


def _add_hook(part: nn.Module, hook: Callable[..., Any], *, before: bool = False) -> None:
    """Add a hook to a module that others may run or copy meanwhile: its dictionary of hooks is replaced.

    Args:
        before: whether it is called before the module runs.
    """
    hooks = OrderedDict(part._forward_pre_hooks if before else part._forward_hooks)
    hooks[RemovableHandle(hooks).id] = hook
    setattr(part, "_forward_pre_hooks" if before else "_forward_hooks", hooks)


def _leave_out(place: _Place) -> Callable[..., Any]:
    """A forward hook: what comes in place of a part's numbers where the edits of this thread's pass leave it out."""
    which = part_of(place.kind)[1]

    def hook(module: nn.Module, given: Any, output: Any) -> Any:
        plan = current_edit_plan()
        if plan is None or not place.is_left_out(plan.edits):
            return None
        if which:
            return given[0] if which.startswith("norm") else normalized(module, given[0])
        if isinstance(output, Tensor):
            return torch.zeros_like(output)
        return (torch.zeros_like(output[0]), *output[1:])

    return hook


def silence_weights(module: nn.Module, copied: nn.Module, edits: Edits) -> None:
    """Leave boxes and norms out of a copy by other means than hooks: the way of an independent run.

    The last matrix of a box is set to zero, a norm is exchanged for PyTorch's own without gain and shift, or for none.

    Args:
        module: the model, whose boxes are known; copied: a copy of it, which gets weights of its own there.
    """
    edited = [
        place for place in _found.get(module, ({}, ()))[1] if edits.leaves_out(place.stack, place.layer, place.kind)
    ]
    for runs in {place.runs for place in edited}:
        places = sorted((place for place in edited if place.runs is runs), key=_strength)
        if runs is None:
            _silence(copied, places)
        else:
            copied.get_submodule(runs.path).register_forward_pre_hook(_silence_run(copied, places, edits))


def _silence_run(copied: nn.Module, places: Sequence[_Place], edits: Edits) -> Callable[..., None]:
    """A hook before each run of the module that is all layers: what is left out of this layer is silenced."""
    own = {place.path: copied.get_submodule(place.path) for place in places}
    numbers = {path: dict(part._parameters) for path, part in own.items()}

    def hook(*_: Any) -> None:
        for path, part in own.items():
            copied.set_submodule(path, part)
            part._parameters.update(numbers[path])
        _silence(copied, [place for place in places if place.is_left_out(edits)])

    return hook


def _silence(copied: nn.Module, places: Sequence[_Place]) -> None:
    """Silence parts of a copy. places: by `_strength`; of several with one path the last counts"""
    for path, place in {place.path: place for place in places}.items():
        part, which = copied.get_submodule(path), part_of(place.kind)[1]
        if which:
            copied.set_submodule(path, nn.Identity() if which.startswith("norm") else stock_norm(part))
        else:
            _set_to_zero(part)


def _set_to_zero(part: nn.Module) -> None:
    """Set the matrix of a part and its bias to zero; where it is none, its hook leaves it out."""
    weight = part._parameters.get("weight")
    for name, parameter in part._parameters.items() if weight is not None and weight.dim() == 2 else ():
        if parameter is not None:
            setattr(part, name, nn.Parameter(torch.zeros_like(parameter), requires_grad=False))
