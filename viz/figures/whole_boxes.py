"""The boxes of the whole model as one table: where each stands, what it says, where it leads.

The drawing, the texts that appear on pointing, the order of playing and the table of numbers all derive from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from model.trace.stack import AFTER, ATTENTION, BEFORE, BOTH, CROSS_ATTENTION, EXPERTS, FEED_FORWARD
from model.trace.stack_summary import BlockSummary, StackSummary
from model.trace.tokens import Tokens
from viz.language.messages import say

WIDTH, HEIGHT = 900, 520  # of the picture, in its own units: pixels at its usual size
STRIP, LABEL, GAP, HEADER = 20, 16, 13, 16  # heights of a strip, a line of text, between boxes, of a box's first line
BOX = (46.0, 84.0)  # smallest and largest height of a block
TOP, BARS, BAR = 16, 5, 15  # room for a stack's name, bars of the output, and the height of one
SLICE = (3, 20)  # smallest and largest height of a folded layer
GUTTER = 14  # room of the residual stream's line, left of the boxes


@dataclass(frozen=True)
class Box:
    """One box of the picture.

    Attributes:
        name: "encoder.tokens", "decoder.1.0" (layer and block), "decoder.2" (a folded layer), "output".
        kind: "tokens", "embedding", "positions", "folded", "output", or that of the block.
        stack, layer, block: where it belongs; None where it does not.
        x, y: from left to right, from top to bottom.
        title, note: what stands on it, at its left and right.
        sentence: what it does, for pointing and playing.
        share: length of what it adds as a share of the stream, median over tokens; None where it adds nothing.
        attention: kind and layer of its attention, or None.
        page: the page that explains it.
    """

    name: str
    kind: str
    stack: str
    x: tuple[float, float]
    y: tuple[float, float]
    title: str
    sentence: str
    note: str = ""
    layer: int | None = None
    block: int | None = None
    share: float | None = None
    attention: tuple[str, int] | None = None
    page: str = "layers"


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
    """

    stacks: Mapping[str, StackSummary]
    tokens: Mapping[str, Tokens]
    open: Mapping[str, int]
    tiles: Mapping[tuple[str, int], np.ndarray] = field(default_factory=dict)
    candidates: Sequence[tuple[str, float]] = ()
    written: int | None = None
    turned: bool = False


def column(model: WholeModel, stack: str) -> tuple[float, float]:
    """Left and right edge of a stack's boxes."""
    names = list(model.stacks)
    if len(names) == 1:
        return 190.0, 710.0
    return (GUTTER + 6.0, 400.0) if stack == names[0] else (510.0, WIDTH - 2.0)


def boxes(model: WholeModel) -> tuple[Box, ...]:
    """Every box, in the order of computing."""
    found = [box for stack in model.stacks for box in _stack_boxes(model, stack)]
    if model.candidates:
        last = found[-1]
        top = last.y[0] - GAP - BARS * BAR
        label, chance = model.candidates[model.written or 0]
        sentence = say("whole.say_output", token=label, chance=f"{chance:.0%}")
        box = Box(
            "output",
            "output",
            last.stack,
            last.x,
            (top, top + BARS * BAR),
            say("whole.output"),
            sentence,
            page="output",
        )
        found.append(box)
    return tuple(found)


def _stack_boxes(model: WholeModel, stack: str) -> Iterator[Box]:
    """The boxes of one stack, from its tokens up."""
    summary, x = model.stacks[stack], column(model, stack)
    bottom = float(HEIGHT) - LABEL
    count = len(model.tokens[stack])
    yield Box(
        f"{stack}.embedding", "embedding", stack, x, (bottom - STRIP, bottom), say("whole.embedding"),
        say("whole.say_embedding", count=count), page="layers",
    )  # fmt: skip
    bottom -= STRIP + LABEL
    if summary.positions is not None or model.turned:
        how = "positions" if summary.positions is not None else "turned"
        height = float(STRIP) if summary.positions is not None else 2.0
        yield Box(
            f"{stack}.positions", "positions", stack, x, (bottom - height, bottom), say(f"whole.{how}"),
            say(f"whole.say_{how}"), page="positions",
        )  # fmt: skip
        bottom -= height + LABEL
    tall = box_height(model)
    heights = _layer_heights(model, stack, tall)
    for layer, height in enumerate(heights):
        if layer == model.open[stack]:
            yield from _open_layer(model, stack, layer, x, bottom, tall)
        else:
            yield _folded(summary, stack, layer, x, (bottom - height + 2, bottom))
        bottom -= height


def box_height(model: WholeModel) -> float:
    """Height of each block of an open layer: what is left when all other layers are as tall as they may be."""
    found = [BOX[1]]
    for stack, summary in model.stacks.items():
        count = max(len(summary.layers[model.open[stack]]), 1)
        others = SLICE[1] * (len(summary.layers) - 1)
        found.append((_room(model, stack) - others - _around_blocks(count)) / count)
    return max(min(found), BOX[0])


def _around_blocks(count: int) -> float:
    """What an open layer of so many blocks needs beside them."""
    return HEADER + count * GAP + 6.0


def _room(model: WholeModel, stack: str) -> float:
    """Height of all layers of a stack together."""
    strips = 2 if model.stacks[stack].positions is not None else 1
    last = stack == [*model.stacks][-1]
    return (
        HEIGHT - TOP - strips * (STRIP + LABEL) - 2 - LABEL - (BARS * BAR + 2 * GAP if last and model.candidates else 0)
    )


def _layer_heights(model: WholeModel, stack: str, box: float) -> list[float]:
    """Height of each layer of a stack, the open one as tall as its boxes, the others sharing what is left."""
    summary, opened = model.stacks[stack], model.open[stack]
    count = max(len(summary.layers[opened]), 1)
    tall = _around_blocks(count) + count * box
    thin = min(max((_room(model, stack) - tall) / max(len(summary.layers) - 1, 1), SLICE[0]), SLICE[1])
    return [tall if layer == opened else thin for layer in range(len(summary.layers))]


def _folded(summary: StackSummary, stack: str, layer: int, x: tuple[float, float], y: tuple[float, float]) -> Box:
    """A folded layer."""
    share = float(np.median(summary.layer_share[layer]))
    parts = ", ".join(block_title(block, stack).lower() for block in summary.layers[layer])
    sentence = say("whole.say_folded", layer=layer, parts=parts or say("whole.unknown"))
    title = say("whole.layer", layer=layer)
    return Box(f"{stack}.{layer}", "folded", stack, x, y, title, sentence, _percent(share), layer, None, share)


def _open_layer(
    model: WholeModel, stack: str, layer: int, x: tuple[float, float], bottom: float, tall: float
) -> Iterator[Box]:
    """The boxes of the open layer, from its first block up."""
    inner = (x[0] + 6, x[1] - 6)
    blocks = model.stacks[stack].layers[layer]
    if not blocks:
        y = (bottom - tall - 6, bottom - 6)
        yield Box(
            f"{stack}.{layer}.0",
            "unknown",
            stack,
            inner,
            y,
            say("whole.unknown"),
            say("whole.say_unknown"),
            layer=layer,
        )
    for index, block in enumerate(blocks):
        base = bottom - 6 - index * (tall + GAP)
        y = (base - tall, base)
        share = float(np.median(block.share))
        values = {"share": f"{share:.0%}", "neurons": f"{block.num_neurons:,}", "heads": _heads(model, block)}
        yield Box(
            f"{stack}.{layer}.{index}", block.kind, stack, inner, y, block_title(block, stack),
            say(f"whole.say_{_what(block, stack)}", **values), _percent(share), layer, index, share,
            block.attention, "heads" if block.kind in (ATTENTION, CROSS_ATTENTION) else "layers",
        )  # fmt: skip


def _heads(model: WholeModel, block: BlockSummary) -> int:
    """How many heads an attention has; 0 where its maps are not known."""
    return len(model.tiles[block.attention]) if block.attention and block.attention in model.tiles else 0


def _percent(share: float) -> str:
    return say("whole.adds", share=f"{share:.0%}")


def _what(block: BlockSummary, stack: str) -> str:
    """Which of the texts speaks of a block."""
    if block.kind == ATTENTION:
        return "masked" if stack == "decoder" else "self"
    return block.kind if block.kind in (CROSS_ATTENTION, FEED_FORWARD, EXPERTS) else "other"


def block_title(block: BlockSummary, stack: str) -> str:
    """What a block is called."""
    name = say(f"whole.{_what(block, stack)}")
    return say("whole.neurons", name=name, count=f"{block.num_neurons:,}") if block.num_neurons else name


def joints(blocks: Sequence[BlockSummary]) -> list[str]:
    """What stands under each block and above the last: where the stream is normalized and where the box is added."""
    texts = []
    for index in range(len(blocks) + 1):
        words = []
        if index:
            below = blocks[index - 1]
            after = "add_norm" if below.sum_norm else "norm_add" if below.norm in (AFTER, BOTH) else "add"
            words.append(say(f"whole.{after}"))
        if index < len(blocks) and blocks[index].norm in (BEFORE, BOTH):
            words.append(say("whole.norm"))
        texts.append(" · ".join(words))
    return texts
