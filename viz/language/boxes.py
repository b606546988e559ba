"""What the boxes of the whole model are called."""

from __future__ import annotations

from model.trace.boxes.stack import ATTENTION, CROSS_ATTENTION, EXPERTS, FEED_FORWARD
from viz.language.messages import say


def box_word(kind: str, stack: str) -> str:
    """Which of the texts speaks of a box. kind: of `model.trace.boxes.stack.BLOCK_KINDS`"""
    if kind == ATTENTION:
        return "masked" if stack == "decoder" else "self"
    return kind if kind in (CROSS_ATTENTION, FEED_FORWARD, EXPERTS) else "other"


def box_name(kind: str, stack: str) -> str:
    """The name of a box."""
    return say(f"whole.{box_word(kind, stack)}")
