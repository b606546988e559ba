"""Where the stacks of the whole model stand, and how high their boxes are: side by side, or one above the other."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from model.trace.boxes.stack_summary import StackSummary
from model.trace.tokens import Tokens

WIDTH, HEIGHT = 900, 508  # of the picture, in its own units: pixels at its usual size
NARROW = 366  # width where the stacks stand one above the other
STRIP, LABEL, GAP, HEADER = 20, 16, 13, 16  # heights of a strip, a line of text, between boxes, of a box's first line
BOX = (46.0, 84.0)  # smallest and largest height of a block
NARROW_BOX, NARROW_SLICES = 58.0, 160.0  # height of a block, and of all folded layers, of each of two stacks
TOP, BARS, BAR = 16, 5, 15  # room for a stack's name, bars of the output, and the height of one
SLICE = (3.0, 20.0)  # smallest and largest height of a folded layer
GUTTER = 14  # room of the residual stream's line, left of the boxes


@dataclass(frozen=True)
class WholeModel:
    """What the picture is drawn from.

    Attributes:
        stacks: "encoder" | "decoder" -> its summary; tokens: -> its tokens.
        open: stack -> the layer that is open.
        tiles: kind and layer of an attention -> small maps of its heads, [head, row, column].
        candidates: label and probability of the likeliest next tokens at a step; empty where the model gives none.
        written: which of them is written; None where none is.
        turned: whether positions turn queries and keys instead of being added.
        narrow: whether two stacks stand one above the other, for a narrow window.
        before: the summaries of the same run without its edits; empty for a run that has none.
        left_out: (stack, layer, kind) of the boxes, and of their norms, that the run's edits leave out.
    """

    stacks: Mapping[str, StackSummary]
    tokens: Mapping[str, Tokens]
    open: Mapping[str, int]
    tiles: Mapping[tuple[str, int], np.ndarray] = field(default_factory=dict)
    candidates: Sequence[tuple[str, float]] = ()
    written: int | None = None
    turned: bool = False
    narrow: bool = False
    before: Mapping[str, StackSummary] = field(default_factory=dict)
    left_out: Collection[tuple[str, int, str]] = frozenset()


@dataclass(frozen=True)
class Layout:
    """Sizes and places, in the units of the picture.

    Attributes:
        width, height: of the picture.
        columns: left and right edge of each stack's boxes; bottoms: where the words under each stack end.
        block: height of each block of an open layer; folded: of each other layer of a stack.
    """

    width: float
    height: float
    columns: Mapping[str, tuple[float, float]]
    bottoms: Mapping[str, float]
    block: float
    folded: Mapping[str, float]


def layout(model: WholeModel) -> Layout:
    """Where everything stands: no higher than its boxes need, and as high as they may be up to `HEIGHT`."""
    names = [*model.stacks]
    pile = model.narrow and len(names) > 1
    block = NARROW_BOX if pile else _block_height(model)
    folded, heights = {}, {}
    for name in names:
        others = len(model.stacks[name].layers) - 1
        around = _around_layers(model, name) + _open_height(model, name, block)
        room = NARROW_SLICES if pile else HEIGHT - around
        folded[name] = min(max(room / max(others, 1), SLICE[0]), SLICE[1])
        heights[name] = around + others * folded[name]
    if pile:
        ends = np.cumsum([heights[name] for name in reversed(names)])
        bottoms = {name: float(end) for name, end in zip(reversed(names), ends, strict=True)}
        columns = dict.fromkeys(names, (GUTTER + 6.0, float(NARROW - GUTTER)))
        return Layout(NARROW, float(ends[-1]), columns, bottoms, block, folded)
    height = max(heights.values())
    width = NARROW if model.narrow else WIDTH
    return Layout(width, height, _columns(names, width), dict.fromkeys(names, height), block, folded)


def _columns(names: Sequence[str], width: float) -> dict[str, tuple[float, float]]:
    """Left and right edges of stacks that stand side by side."""
    if len(names) > 1:
        return {names[0]: (GUTTER + 6.0, 400.0), names[1]: (510.0, width - 2.0)}
    return {names[0]: (GUTTER + 6.0, width - 2.0) if width == NARROW else (190.0, 710.0)}


def _block_height(model: WholeModel) -> float:
    """Height of each block of an open layer: what is left when all other layers are as high as they may be."""
    found = [BOX[1]]
    for stack, summary in model.stacks.items():
        others = SLICE[1] * (len(summary.layers) - 1)
        rest = HEIGHT - _around_layers(model, stack) - _open_height(model, stack, 0) - others
        found.append(rest / _open_count(model, stack))
    return max(min(found), BOX[0])


def _open_count(model: WholeModel, stack: str) -> int:
    """How many blocks the open layer of a stack is drawn with."""
    return max(len(model.stacks[stack].layers[model.open[stack]]), 1)


def _open_height(model: WholeModel, stack: str, block: float) -> float:
    """Height of the open layer of a stack, with its first line."""
    return open_height(_open_count(model, stack), block)


def open_height(count: int, block: float) -> float:
    """Height of an open layer of so many blocks, with its first line."""
    return HEADER + 6.0 + count * (GAP + block)


def _around_layers(model: WholeModel, stack: str) -> float:
    """Height of what stands under and over the layers of a stack."""
    strips = LABEL + STRIP + LABEL
    if model.stacks[stack].positions is not None:
        strips += STRIP + LABEL
    elif model.turned:
        strips += 2 + LABEL
    output = BARS * BAR + GAP if stack == [*model.stacks][-1] and model.candidates else 0
    return strips + output + TOP
