"""What the boxes of the whole model are called, and the parts of their norms."""

from __future__ import annotations

from model.trace.boxes.stack import ATTENTION, part_of
from viz.language.messages import say


def box_word(kind: str, stack: str) -> str:
    """Which of the texts speaks of a box. kind: of `model.trace.boxes.stack.BLOCK_KINDS`"""
    if kind == ATTENTION:
        return "masked" if stack == "decoder" else "self"
    return kind


def box_name(kind: str, stack: str) -> str:
    """The name of a box, or of a part of its norm. kind: of `model.trace.boxes.stack.PART_KINDS`"""
    block, part = part_of(kind)
    name = say(f"whole.{box_word(block, stack)}")
    return say(f"whole.part_{part}", box=name) if part else name
