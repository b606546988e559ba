"""The boxes of the whole model as one table: where each stands, what it says, where it leads.

The drawing, the texts that appear on pointing, the order of playing and the table of numbers all derive from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from model.trace.boxes.stack import AFTER, ATTENTIONS, BEFORE, BOTH, EMBEDDING, END_PARTS, FINAL
from model.trace.boxes.stack_summary import BlockSummary
from viz.figures.whole_layout import BAR, BARS, GAP, HEADER, LABEL, STRIP, TOP, Layout, WholeModel, layout, open_height
from viz.language.boxes import box_name, box_word
from viz.language.messages import say, whole_number


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
        reads: the block of its layer whose input it reads, too; None where it reads what the block below makes.
        page: the page that explains it.
        left_out: whether the run's edits leave it out, or a part of a folded layer.
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
    reads: int | None = None
    page: str = "layers"
    left_out: bool = False


def boxes(model: WholeModel) -> tuple[Box, ...]:
    """Every box, in the order of computing."""
    places = layout(model)
    found = [box for stack in model.stacks for box in _stack_boxes(model, stack, places)]
    if model.candidates:
        last = found[-1]
        top = upper_edge(last) - GAP - BARS * BAR - (TOP if len(model.stacks) > 1 else 0)
        label, chance = model.candidates[model.written or 0]
        sentence = say("whole.say_output", token=label, chance=f"{chance:.0%}")
        y, title = (top, top + BARS * BAR), say("whole.output")
        found.append(Box("output", "output", last.stack, last.x, y, title, sentence, page="output"))
    return tuple(found)


def upper_edge(box: Box) -> float:
    """Where a box ends at the top, with the first line of its layer if that is open."""
    return box.y[0] - (GAP + HEADER - 2 if box.block is not None or box.kind == "unknown" else 0)


def _stack_boxes(model: WholeModel, stack: str, places: Layout) -> Iterator[Box]:
    """The boxes of one stack, from its tokens up."""
    summary, x = model.stacks[stack], places.columns[stack]
    bottom = places.bottoms[stack] - LABEL
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
    for layer, blocks in enumerate(summary.layers):
        if layer == model.open[stack]:
            yield from _open_layer(model, stack, layer, x, bottom, places.block)
            bottom -= open_height(max(len(blocks), 1), places.block)
        else:
            yield _folded(model, stack, layer, x, (bottom - places.folded[stack] + 2, bottom))
            bottom -= places.folded[stack]


def _folded(model: WholeModel, stack: str, layer: int, x: tuple[float, float], y: tuple[float, float]) -> Box:
    """A folded layer."""
    summary, before = model.stacks[stack], model.before.get(stack)
    share = float(np.median(summary.layer_share[layer]))
    was = None if before is None else float(np.median(before.layer_share[layer]))
    parts = ", ".join(block_title(block, stack).lower() for block in summary.layers[layer])
    sentence = say("whole.say_folded", layer=layer, parts=parts or say("whole.unknown"))
    if summary.shares_weights:
        sentence = f"{sentence} {say('whole.say_shared')}"
    out = [kind for one, at, kind in sorted(model.left_out) if (one, at) == (stack, layer) and kind not in END_PARTS]
    without = [box_name(kind, stack) for kind in out]
    title = say("whole.layer_without" if without else "whole.layer", layer=layer, parts=", ".join(without))
    return Box(
        f"{stack}.{layer}", "folded", stack, x, y, title, sentence, _note(share, was), layer, None, share,
        left_out=bool(without),
    )  # fmt: skip


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
        share, before = float(np.median(block.share)), model.before.get(stack)
        was = None if before is None else float(np.median(before.layers[layer][index].share))
        out = (stack, layer, block.kind) in model.left_out
        reads = block.reads if block.reads < index else None
        yield Box(
            f"{stack}.{layer}.{index}", block.kind, stack, inner, y, block_title(block, stack),
            say("whole.say_left_out") if out else _sentence(model, stack, block, share, reads is not None),
            _note(share, was), layer, index, share, block.attention, reads,
            "heads" if block.kind in ATTENTIONS else "layers", out,
        )  # fmt: skip


def _heads(model: WholeModel, block: BlockSummary) -> int:
    """How many heads an attention has; 0 where its maps are not known."""
    return len(model.tiles[block.attention]) if block.attention and block.attention in model.tiles else 0


def _sentence(model: WholeModel, stack: str, block: BlockSummary, share: float, beside: bool) -> str:
    """What a block does. share: what it adds, median over tokens; beside: whether it reads what one below it reads"""
    values = {"share": f"{share:.0%}", "neurons": whole_number(block.num_neurons), "heads": _heads(model, block)}
    sentence = say(f"whole.say_{box_word(block.kind, stack)}", **values)
    more = {"beside": beside, "shared": model.stacks[stack].shares_weights}
    return " ".join([sentence, *(say(f"whole.say_{name}") for name, holds in more.items() if holds)])


def _note(share: float, was: float | None) -> str:
    """What a box adds. was: the same without the edits; None where there are none"""
    now = say("whole.adds", share=f"{share:.0%}") if share else say("whole.nothing")
    changed = was is not None and f"{was:.0%}" != f"{share:.0%}"
    return say("whole.was", now=now, before=f"{was:.0%}") if changed else now


def block_title(block: BlockSummary, stack: str) -> str:
    """What a block is called."""
    name = box_name(block.kind, stack)
    return say("whole.neurons", name=name, count=whole_number(block.num_neurons)) if block.num_neurons else name


def end_norms(model: WholeModel, stack: str) -> dict[str, str]:
    """What stands over the embedding and over the last layer, where a norm is: "embedding" | "final" -> its words."""
    summary = model.stacks[stack]
    places = [(EMBEDDING, 0, summary.embedding_norm), (FINAL, len(summary.layers) - 1, summary.final_norm)]
    words = {EMBEDDING: say("whole.norm"), FINAL: say("whole.final_norm")}
    for end, layer, _ in places:
        out = [part for part in ("norm", "gain") if (stack, layer, f"{end}_{part}") in model.left_out]
        words[end] = say(f"whole.{out[0]}_out") if out else words[end]
    return {end: words[end] for end, _, there in places if there}


def joints(model: WholeModel, stack: str) -> list[str]:
    """What stands under each block of the open layer, and above the last: where it is normalized and added."""
    layer = model.open[stack]
    blocks = model.stacks[stack].layers[layer]

    def norm(block: BlockSummary, end: str = "") -> str:
        """A norm, or what is left out of it."""
        out = [part for part in ("norm", "gain") if (stack, layer, f"{block.kind}_{part}{end}") in model.left_out]
        return say(f"whole.{out[0]}_out") if out else say("whole.norm")

    texts = []
    for index in range(len(blocks) + 1):
        words = []
        if index:
            below = blocks[index - 1]
            after = "add_norm" if below.sum_norm else "norm_add" if below.norm in (AFTER, BOTH) else "add"
            changed = norm(below, "_after" if below.norm == BOTH else "")
            if after != "add" and changed != say("whole.norm"):
                words += [say("whole.add"), changed][:: 1 if after == "add_norm" else -1]
            else:
                words.append(say(f"whole.{after}"))
        if index < len(blocks) and blocks[index].norm in (BEFORE, BOTH):
            words.append(norm(blocks[index]))
        if index < len(blocks) and blocks[index].reads < index:
            words.append(say("whole.beside"))
        texts.append(" · ".join(words))
    return texts
