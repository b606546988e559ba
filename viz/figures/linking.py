"""What a figure tells the browser of its tokens, so that pointing at one marks it in every figure of the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from model.trace.attention import Attention

FocusTokens = tuple[str, Sequence[int]]  # "encoder" or "decoder", and positions of tokens


def query_stack(kind: str) -> str:
    """Stack of the tokens that ask in a kind of attention: "decoder" also for cross-attention, else "encoder"."""
    return "decoder" if kind in ("decoder", "cross") else "encoder"


def key_stack(kind: str) -> str:
    """Stack of the tokens that are asked in a kind of attention: "decoder" in the decoder's own, else "encoder"."""
    return "decoder" if kind == "decoder" else "encoder"


def focus_rows(focus: FocusTokens, axis: str = "y") -> list[dict[str, Any]]:
    """Where the tokens of a figure stand, one a row or one a column, as `viz/browser/focus.js` reads it.

    Belongs into `layout.meta["focus"]`.

    Args:
        focus: stack and positions of the tokens, in the order of the rows.
        axis: "y" for rows, "x" for columns or bars.
    """
    stack, positions = focus
    at = list(range(len(positions)))
    return [{"axis": axis, "stack": stack, "at": at, "places": list(positions), "half": 0.5}]


def focus_points(
    stack: str, places: Sequence[int], points: Sequence[Sequence[float]], half: tuple[float, float]
) -> list[dict[str, Any]]:
    """Where the tokens of a figure stand as points, for `layout.meta["focus"]`; a box is drawn around one.

    Args:
        stack, places: of the tokens.
        points: x and y of each.
        half: half the width and half the height of the box.
    """
    return [
        {"axis": "y", "stack": stack, "at": [y], "places": [place], "half": half[1], "span": [x - half[0], x + half[0]]}
        for place, (x, y) in zip(places, points, strict=True)
    ]


def shows(what: str, attention: Attention, **place: Any) -> dict[str, dict[str, Any]]:
    """What a figure says it shows, for its `layout.meta`, so that its data can be compared with the run.

    Args:
        what: "map", "lines" or "tiles"; place: layer, head, and positions of queries and keys.
    """
    return {"shows": {"what": what, "kind": attention.kind, **place}}
