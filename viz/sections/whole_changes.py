"""Boxes of the whole model that are left out of the run: the choice beside the picture, and what was without it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import streamlit as st

from model.trace.boxes.stack_summary import StackSummary
from model.trace.edits import Boxes
from model.trace.trace import Trace
from viz.frame import model_access, session
from viz.frame.shown_run import decompositions, results
from viz.language.boxes import box_name
from viz.language.messages import say
from viz.widgets.menus.box_change import with_box, with_named_box

MARKS = {False: "leave_out", True: "put_back"}  # what can be done with a box: by whether it is left out


def summaries_before(trace: Trace, now: Mapping[str, StackSummary]) -> dict[str, StackSummary]:
    """The summaries of the same run without its edits; empty for a run that has none.

    Args:
        now: those of the run.
    """
    if not trace.edits or trace.serial != st.session_state.get("bar_run"):
        return {}
    before = decompositions.block_summaries(results.unedited_trace())
    return {stack: one for stack, one in before.items() if _same_boxes(one, now.get(stack))}


def _same_boxes(one: StackSummary, other: StackSummary | None) -> bool:
    """Whether two summaries have as many boxes in each layer."""
    return other is not None and [*map(len, one.layers)] == [*map(len, other.layers)]


def remember(summaries: Mapping[str, StackSummary]) -> dict[str, str]:
    """Name of each box in the picture -> what the menu at it can do; and what these names mean, for the callback."""
    edits, boxes, state = model_access.applied_edits(), model_access.open_model().boxes(), st.session_state
    places = {
        f"{stack}.{layer}.{index}": (stack, layer, block.kind)
        for stack, summary in summaries.items()
        for layer, blocks in enumerate(summary.layers)
        for index, block in enumerate(blocks)
        if block.kind in _kinds(boxes, stack, layer)
    }
    state.whole_places = places
    found = {name: MARKS[edits.leaves_out(*place)] for name, place in places.items()}
    if model_access.open_model().can_move_positions and model_access.open_model().heads:
        mark = "positions_off" if edits.positions == "own" else "put_back"
        found |= {f"{stack}.positions": mark for stack in summaries}
    state.whole_marks = found
    return found


def _kinds(boxes: Boxes, stack: str, layer: int) -> tuple[str, ...]:
    """The boxes of a layer that can be left out."""
    layers = boxes.get(stack, ())
    return tuple(layers[layer]) if layer < len(layers) else ()


def choice(opened: Mapping[str, int]) -> None:
    """A row of buttons for the boxes of each open layer: those that are left out are pressed."""
    edits, boxes = model_access.applied_edits(), model_access.open_model().boxes()
    for stack, layer in opened.items():
        kinds = tuple(dict.fromkeys(_kinds(boxes, stack, layer)))
        if not kinds:
            continue
        key = f"left_out_{stack}_{layer}"
        st.session_state[key] = [kind for kind in kinds if edits.leaves_out(stack, layer, kind)]
        st.pills(
            f"{say('whole.leave_out')}: {say(f'kinds.{stack}')}, {say('whole.layer', layer=layer)}",
            kinds,
            selection_mode="multi",
            wrap=True,
            key=key,
            format_func=partial(box_name, stack=stack),
            help=say("whole.leave_out_help") if stack == next(iter(opened)) else None,
            on_change=_chosen,
            args=(key, stack, layer, kinds, boxes),
        )


def _chosen(key: str, stack: str, layer: int, kinds: tuple[str, ...], boxes: Boxes) -> None:
    """Leave out the boxes that are pressed, and no others of this layer; a callback."""
    edits = model_access.applied_edits()
    for kind in kinds:
        edits = with_box(edits, boxes, (stack, layer, kind), left_out=kind in st.session_state[key])
    session.set_edits(edits)
    st.session_state.whole_changed = True


def change(name: str) -> None:
    """Leave out the box of this name, or put it back; for a callback."""
    session.set_edits(with_named_box(model_access.applied_edits(), name))
    st.session_state.whole_changed = True
