"""Marks of heads that edits mute or change."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from model.trace.edits import Edits
from viz.sections.heads.head_finder import head_mark
from viz.widgets.menus.change_menu import with_head_change


def mark(edits: Edits, layer: int, head: int, kind: str = "encoder") -> str:
    run: Any = SimpleNamespace(edits=edits, attentions={kind: SimpleNamespace(layer_index=range(4))})
    return head_mark(run, kind, layer, head)


def test_muted_and_changed_heads_are_marked_and_others_are_not() -> None:
    edits = Edits(
        heads={("encoder", 0, 1): 0, ("encoder", 0, 2): 2, ("encoder", 1, None): 0, ("encoder", 1, 3): 1},
        uniform={("encoder", 2, None)},
        patched={("encoder", 3, 0): ("x", None)},
    )
    assert [mark(edits, 0, head) for head in range(4)] == ["", "muted", "changed", ""]
    assert [mark(edits, 1, head) for head in (0, 3)] == ["muted", ""]
    assert mark(edits, 2, 5) == mark(edits, 3, 0) == "changed"
    assert mark(edits, 0, 1, "decoder") == mark(edits, 3, 1) == mark(Edits(), 0, 0) == ""


def test_undo_takes_back_what_was_done_to_one_head() -> None:
    place = ("encoder", 0, 1)
    edits = Edits(heads={place: 0, ("encoder", 0, 2): 2}, uniform={place}, patched={place: ("x", None)})
    assert with_head_change(edits, "undo", place) == Edits(heads={("encoder", 0, 2): 2})
