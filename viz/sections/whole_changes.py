"""What can be changed at the boxes of the whole model: the choice beside the picture, menus, and what was before."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import streamlit as st

from model.trace.boxes.stack import ATTENTION, BLOCK_KINDS, EMBEDDING, END_PARTS, FINAL, NORM_PARTS, part_of
from model.trace.boxes.stack_summary import BlockSummary, StackSummary
from model.trace.edits import Boxes
from model.trace.trace import Trace
from viz.frame import model_access, session
from viz.frame.shown_run import decompositions, results
from viz.language.boxes import box_name
from viz.language.messages import say
from viz.widgets.menus.box_change import with_box, with_named_box

Mark = tuple[str, str]  # what an item of a menu says, and the name of what it changes


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


def left_out(summaries: Mapping[str, StackSummary]) -> frozenset[tuple[str, int, str]]:
    """Stack, layer and kind of every box, and part of a norm, that the edits leave out."""
    boxes, edits = model_access.open_model().boxes(), model_access.applied_edits()
    if not edits.blocks:
        return frozenset()
    places = [(stack, layer) for stack, one in summaries.items() for layer in range(len(one.layers))]
    named = [(*place, kind) for place in places for kind in _kinds(boxes, *place)]
    return frozenset(place for place in named if edits.leaves_out(*place))


def remember(summaries: Mapping[str, StackSummary]) -> dict[str, list[Mark]]:
    """Name of each box in the picture -> what the menu at it can do; and what these names mean, for the callback."""
    model, edits, state = model_access.open_model(), model_access.applied_edits(), st.session_state
    boxes = model.boxes()
    marks: dict[str, list[Mark]] = {}
    state.whole_places = {}
    for stack, summary in summaries.items():
        for layer, blocks in enumerate(summary.layers):
            for index, block in enumerate(blocks):
                name = f"{stack}.{layer}.{index}"
                parts = [part for part in ("", *NORM_PARTS) if _kind(block, part) in _kinds(boxes, stack, layer)]
                places = {f"{name}.{part}" if part else name: (stack, layer, _kind(block, part)) for part in parts}
                found = [
                    (_said(part, edits.leaves_out(*places[one])), one) for part, one in zip(parts, places, strict=True)
                ]
                if model.heads and block.attention is not None and (stack, block.kind) == ("decoder", ATTENTION):
                    places[f"{name}.mask"] = (stack, layer, "mask")
                    lifted = edits.masks.get(("decoder", layer)) == "full"
                    found.append((say(f"head_menu.{'mask_back' if lifted else 'lift_mask'}"), f"{name}.mask"))
                state.whole_places |= places
                marks |= {name: found} if found else {}
        last = len(summary.layers) - 1
        final = [f"{stack}.{last}", f"{stack}.{last}.{len(summary.layers[last]) - 1}"]
        final += ["output"] if stack == [*summaries][-1] else []
        for end, layer, names in ((EMBEDDING, 0, [f"{stack}.{EMBEDDING}"]), (FINAL, last, final)):
            for kind in (one for one in END_PARTS if one.startswith(end) and one in _kinds(boxes, stack, layer)):
                said = _said(part_of(kind)[1] if end == EMBEDDING else kind, edits.leaves_out(stack, layer, kind))
                state.whole_places[f"{stack}.{kind}"] = (stack, layer, kind)
                for name in names:
                    marks.setdefault(name, []).append((said, f"{stack}.{kind}"))
    if model.can_move_positions and model.heads:
        said = say(f"head_menu.{'positions_off' if edits.positions == 'own' else 'put_back'}")
        marks |= {f"{stack}.positions": [(said, f"{stack}.positions")] for stack in summaries}
    state.whole_marks = marks
    return marks


def _kind(block: BlockSummary, part: str) -> str:
    """What edits call a box, or a part of its norm."""
    return f"{block.kind}_{part}" if part else block.kind


def _said(part: str, out: bool) -> str:
    """What leaves a box, or a part of its norm, out, or puts it back, in words."""
    word = "put_back" if out else "leave_out"
    return say(f"head_menu.{word}_part", part=say(f"head_menu.part_{part}")) if part else say(f"head_menu.{word}")


def _kinds(boxes: Boxes, stack: str, layer: int) -> tuple[str, ...]:
    """The boxes of a layer that can be left out, and the parts of their norms."""
    layers = boxes.get(stack, ())
    return tuple(layers[layer]) if layer < len(layers) else ()


def choice(opened: Mapping[str, int]) -> None:
    """A row of buttons for the boxes of each open layer: those that are left out are pressed."""
    edits, boxes = model_access.applied_edits(), model_access.open_model().boxes()
    for stack, layer in opened.items():
        kinds = tuple(dict.fromkeys(kind for kind in _kinds(boxes, stack, layer) if kind in BLOCK_KINDS))
        if not kinds:
            continue
        key = f"left_out_{stack}_{layer}"
        st.session_state[key] = [kind for kind in kinds if edits.leaves_out(stack, layer, kind)]
        place = f"{say(f'kinds.{stack}')}, {say('whole.layer', layer=layer)}"
        st.pills(
            f"{say('whole.leave_out')}{say('language.colon')} {place}",
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
    """Leave out what has this name, or put it back; for a callback."""
    session.set_edits(with_named_box(model_access.applied_edits(), name))
    st.session_state.whole_changed = True
