"""Windows of patches unfolded: maps of patch × patch of one stage of a model that attends within windows (Swin).

Such models merge patches from stage to stage, so that stages differ in their number of patches: one stage is shown at
a time. Which patch stands where in the windows of a layer is measured: numbers that go in are read off in its windows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from model.decomposition.observation import find_layers
from model.errors import OpeningError
from model.tokenization.length import OWN_LIMIT

# Added to a score this forbids a key: Swin writes -100 where windows that were moved meet at the picture's edge.
FORBIDS = -50.0
SMALLEST = 1e-30  # a smaller weight is none
FILLED = "it fills the picture up to whole windows of patches, and computes with what fills it up"


@dataclass(frozen=True, eq=False)
class Stage:
    """One stage of a model that merges patches from stage to stage.

    Attributes:
        path: of its module within the model; number: its place among the stages.
        rows, columns: its patches; first: layers of the model before its own.
        layouts: of each layer, which patch stands where in the windows. int64 [window, place]
    """

    path: str
    number: int
    rows: int
    columns: int
    first: int
    layouts: tuple[Tensor, ...]

    @property
    def patches(self) -> int:
        return self.rows * self.columns


def unfold(folded: Tensor, layout: Tensor) -> Tensor:
    """Vectors in the order of patches. [sentence · window, head, place, width] -> [sentence, head, patch, width]"""
    windows, places = layout.shape
    rows = folded.unflatten(0, (-1, windows)).transpose(1, 2).flatten(2, 3)
    assert rows.shape[2] == windows * places
    return rows[:, :, layout.flatten().argsort()]


def fold(vectors: Tensor, layout: Tensor) -> Tensor:
    """Vectors in windows. [sentence, head, patch, width] -> [sentence · window, head, place, width]"""
    return vectors[:, :, layout].transpose(1, 2).flatten(0, 1)


def unfold_maps(maps: Tensor, layout: Tensor, outside: float) -> Tensor:
    """Maps of patch × patch. [sentence · window, head, place, place] -> [sentence, head, patch, patch]

    Args:
        maps: of one window where all have the same.
        outside: stands between patches of different windows.
    """
    windows, patches = len(layout), layout.numel()
    own = maps.expand(windows, -1, -1, -1) if len(maps) == 1 else maps
    own = own.unflatten(0, (-1, windows)).transpose(1, 2)  # [sentence, head, window, place, place]
    full = own.new_full((*own.shape[:2], patches, patches), outside)
    full[:, :, layout[:, :, None], layout[:, None, :]] = own
    return full


def unfold_mask(mask: Tensor | None, layout: Tensor, dtype: torch.dtype) -> Tensor:
    """What is added to scores between patches, its dtype's minimum where none is allowed. [1, head or 1, patch, patch]

    Args:
        mask: what is added within windows, the same for each sentence; None adds nothing.
    """
    windows, places = layout.shape
    lowest = torch.finfo(dtype).min
    own = torch.zeros(1, 1, places, places, dtype=dtype, device=layout.device) if mask is None else mask.to(dtype)
    return unfold_maps(own[:windows].masked_fill(own[:windows] < FORBIDS, lowest), layout, lowest)


@dataclass(eq=False)
class Watched:
    """What the layers of a stage put out in one pass.

    Attributes:
        states: what went into the first layer, and what came out of each. [sentence, patch, width]
        weights: of each layer, where it returns them. [sentence · window, head, place, place]
    """

    states: list[Tensor] = field(default_factory=list)
    weights: list[Tensor] = field(default_factory=list)

    def maps(self, stage: Stage) -> tuple[Tensor, ...]:
        """The weights as maps of patch × patch, without what -100 leaves of one. [sentence, head, patch, patch] each"""
        maps = (unfold_maps(one, own, 0.0) for one, own in zip(self.weights, stage.layouts, strict=True))
        return tuple(one.masked_fill(one < SMALLEST, 0) for one in maps)


_watched: ContextVar[Watched | None] = ContextVar("watched", default=None)


@contextmanager
def watch_stage() -> Iterator[Watched]:
    """What the layers hooked by `hook_stage` put out in this thread's passes while the block runs."""
    token = _watched.set(seen := Watched())
    try:
        yield seen
    finally:
        _watched.reset(token)


def hook_stage(stage: nn.Module) -> None:
    """Hook the layers of a stage for `watch_stage`; the hooks do nothing outside of it."""
    for layer in find_layers(stage):
        layer.register_forward_hook(_note_layer, with_kwargs=True)


def _note_layer(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
    """Forward hook: notes what a layer got and gave."""
    seen = _watched.get()
    if seen is None:
        return
    if not seen.states:
        seen.states.append(args[0] if args else kwargs["hidden_states"])
    outputs = output if isinstance(output, tuple) else (output,)
    seen.states.append(outputs[0])
    seen.weights += [one for one in outputs[1:] if isinstance(one, Tensor) and one.dim() == 4]


def find_stages(module: nn.Module, run: Callable[[], object]) -> tuple[Stage, ...]:
    """The stages of a model whose layers attend within windows; empty for other models.

    Args:
        run: passes a picture through the module, which nobody else uses yet.

    Raises:
        OpeningError: windows hold more than the picture's patches.
    """
    if not hasattr(module.config, "window_size"):
        return ()
    try:
        stages = list(find_layers(module))
        layers = [list(find_layers(stage)) for stage in stages]
    except ValueError:
        return ()
    paths = {id(part): path for path, part in module.named_modules()}
    measured = [[_Measured() for _ in own] for own in layers]
    handles = [
        handle
        for own, into in zip(layers, measured, strict=True)
        for layer, one in zip(own, into, strict=True)
        for handle in _number_patches(layer, one)
    ]
    try:
        with torch.inference_mode():
            run()
    except (RuntimeError, ValueError, TypeError, AttributeError):  # a family that makes nothing of numbers
        return ()
    finally:
        for handle in handles:
            handle.remove()
    found, first = [], 0
    for number, (stage, own) in enumerate(zip(stages, measured, strict=True)):
        layouts = tuple(map(_Measured.layout, own))
        found.append(Stage(paths[id(stage)], number, *own[0].shape, first, layouts))
        first += len(own)
    return tuple(found)


def shown_stage(stages: Sequence[Stage], wanted: int | None, grid: tuple[int, int]) -> Stage:
    """The stage to show: the wanted one, else of those that can be shown the one with most layers.

    Args:
        grid: rows and columns of the patches that the picture is cut into.

    Raises:
        OpeningError: there is no such stage, or it cannot be laid over the picture.
    """
    if wanted is not None and wanted >= len(stages):
        raise OpeningError(f"it has the stages 0 to {len(stages) - 1}", "windows")
    fitting = [one for one in stages if fits(one, grid)]
    if wanted is None and fitting:
        return max(fitting, key=lambda one: (len(one.layouts), one.number))
    one = stages[wanted or 0]
    if one in fitting:
        return one
    if not _is_even(one, grid):
        raise OpeningError(FILLED, "windows")
    raise OpeningError(
        f"its stage {one.number} has {one.patches:,} patches; Headlight draws at most {OWN_LIMIT:,}, as attention maps "
        "grow with the square of them",
        "windows",
    )


def fits(stage: Stage, grid: tuple[int, int]) -> bool:
    """Whether a stage can be shown. grid: as in `shown_stage`"""
    return _is_even(stage, grid) and stage.patches <= OWN_LIMIT


def _is_even(stage: Stage, grid: tuple[int, int]) -> bool:
    """Whether each patch of a stage stands for as many of the picture's."""
    down, across = grid[0] / stage.rows, grid[1] / stage.columns
    return down == int(down) and across == int(across)


@dataclass(eq=False)
class _Measured:
    """What was read of one layer: its patches' rows and columns, and their numbers, from 1, where they are windows."""

    shape: tuple[int, int] = (0, 0)
    numbers: Tensor | None = None

    def layout(self) -> Tensor:
        """Which patch stands where. int64 [window, place]

        Raises:
            OpeningError: not every patch stands in one place, and nothing else.
        """
        count = self.shape[0] * self.shape[1]
        if self.numbers is None or count == 0:
            raise OpeningError("which patches its windows hold cannot be told", "windows")
        order = self.numbers.round().long() - 1
        if not torch.equal(order.flatten().sort().values, torch.arange(count, device=order.device)):
            raise OpeningError(FILLED, "windows")
        return order


def _number_patches(layer: nn.Module, into: _Measured) -> list[Any]:
    """Hooks that put the numbers of the patches, from 1, into a layer, and read them where they stand in windows."""

    def enter(_: nn.Module, args: tuple[Any, ...]) -> Any:
        states, into.shape = (
            args[0],
            next((one for one in args[1:] if isinstance(one, tuple) and len(one) == 2), (0, 0)),
        )
        numbers = torch.arange(1, states.shape[1] + 1, dtype=states.dtype, device=states.device)
        return (numbers[None, :, None].expand_as(states).contiguous(), *args[1:])

    def read(_: nn.Module, args: tuple[Any, ...]) -> None:
        if into.numbers is None and args and isinstance(args[0], Tensor) and args[0].dim() == 3:
            into.numbers = args[0][:, :, 0].clone()

    handles: list[Any] = [layer.register_forward_pre_hook(enter)]
    for part in layer.children():
        is_norm = isinstance(part, nn.LayerNorm)
        handles.append(part.register_forward_hook(_let_through) if is_norm else part.register_forward_pre_hook(read))
    return handles


def _let_through(_: nn.Module, args: tuple[Any, ...], __: Any) -> Any:
    """Forward hook: what came in."""
    return args[0]
