"""A box of the whole model left out of the run, or put back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import streamlit as st

from model.trace.edits import BlockPlace, Boxes, Edits
from viz.frame import model_access
from viz.frame.option_row import option_label
from viz.language.boxes import box_name
from viz.language.messages import say

T = TypeVar("T")


def with_box(edits: Edits, boxes: Boxes, place: tuple[str, int, str], *, left_out: bool) -> Edits:
    """The edits with one box left out or not, whatever they said of it; others stay as they are.

    Args:
        boxes: that the model has; place: stack, layer and kind of the box.
    """
    stack, layer, kind = place
    if edits.leaves_out(*place) == left_out:
        return edits
    if left_out:
        return replace(edits, blocks={*edits.blocks, place})
    blocks: set[BlockPlace] = set(edits.blocks) - {place, (stack, None, kind)}
    if (stack, None, kind) in edits.blocks:
        others = (at for at, kinds in enumerate(boxes[stack]) if kind in kinds and at != layer)
        blocks |= {(stack, at, kind) for at in others}
    return replace(edits, blocks=blocks)


def with_named_box(edits: Edits, name: str) -> Edits:
    """The edits after the menu at a box of the picture: it, or a part of its norm, is left out or put back.

    Args:
        name: of a box in the picture, as `viz.figures.whole_boxes.Box` has it, followed by what is changed of it.
    """
    if name.endswith(".positions"):
        return replace(edits, positions="off" if edits.positions == "own" else "own")
    place = st.session_state.get("whole_places", {}).get(name)
    if place is None:
        return edits
    stack, layer, kind = place
    if kind == "mask":
        masks = {where: shape for where, shape in edits.masks.items() if where != (stack, layer)}
        return replace(edits, masks=masks if len(masks) < len(edits.masks) else {**masks, (stack, layer): "full"})
    model = model_access.model_if_open()  # a callback may show nothing, and so not wait for a model
    return edits if model is None else with_box(edits, model.boxes(), place, left_out=not edits.leaves_out(*place))


def box_fields(boxes: Boxes) -> BlockPlace | None:
    """Widgets that name a box, and the box that they name; None, and a sentence, where the model has none.

    Args:
        boxes: that the model has.
    """
    stacks = [stack for stack, layers in boxes.items() if any(layers)]
    if not stacks:
        st.caption(say("change.no_boxes"))
        return None
    stack = _picked("stack", stacks, option_label) if len(stacks) > 1 else stacks[0]
    kinds = [*dict.fromkeys(kind for kinds in boxes[stack] for kind in kinds)]
    kind = _picked("box", kinds, lambda one: box_name(one, stack))
    layers = [layer for layer, found in enumerate(boxes[stack]) if kind in found]
    layer = _picked("layer", [None, *layers], lambda one: say("change.all") if one is None else str(one))
    return stack, layer, kind


def _picked(field: str, options: Sequence[T], name: Callable[[T], str]) -> T:
    """What is picked of a list."""
    key = f"change_box_{field}"
    if st.session_state.get(key) not in options:
        st.session_state.pop(key, None)
    return st.selectbox(say(f"change.{field}_label"), options, key=key, format_func=name)
