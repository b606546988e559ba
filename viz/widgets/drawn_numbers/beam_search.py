"""What the tree of a beam search should show: its hypotheses, and scores that follow from the run's own logits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from model.trace.decoding import BeamNode, Decoding
from model.trace.trace import Trace
from viz.figures.reading_back import WRONG, falls
from viz.figures.theme import escape
from viz.frame import model_access
from viz.frame.shown_run import results
from viz.widgets.drawn_numbers import on_screen

Place = tuple[float, float]
Node = tuple[tuple[str, ...], str, bool, float]  # labels from the root on, symbol, whether of the best, score


def tree_error(trace: Trace, figure: Any) -> float | None:
    """The error of a tree: paths of labels with their fates and scores, the best path, and scores against the run."""
    lens = model_access.open_model()
    longest = int(on_screen.chosen("longest", 60 if lens.is_encoder_decoder else 20))
    how = Decoding("beam", beams=int(on_screen.chosen("beams", 4)), max_new_tokens=longest)
    decoded = results.decode(model_access.model_input(), how)
    written = trace.ids["decoder"][trace.prompt_length :]
    if decoded.ids != written:
        return WRONG  # of another run
    labels = [escape(one) for one in lens.labels([node.token for node in decoded.tree])]
    drawn = _drawn_nodes(figure) if falls(figure.layout.yaxis.range) and not falls(figure.layout.xaxis.range) else None
    expected = _expected_nodes(decoded.tree, labels, written, decoded.ended)
    if drawn is None or [one[:3] for one in drawn] != [one[:3] for one in expected]:
        return WRONG
    errors = [abs(one[3] - other[3]) / max(abs(other[3]), 1.0) for one, other in zip(drawn, expected, strict=True)]
    return max([*errors, 0.0 if trace.edits else _score_error(trace, decoded.tree, written)])


def _drawn_nodes(figure: Any) -> list[Node] | None:
    """The nodes as the figure has them, sorted; None where one has no line to a node before it, or two."""
    before: dict[Place, Place] = {}
    best: set[Place] = set()
    for one in (one for one in figure.data if one.mode == "lines"):
        if one.x is None:
            continue
        ends = np.stack([np.array(axis, np.float64).reshape(-1, 3) for axis in (one.x, one.y)], axis=-1)
        for first, second, _ in ends.tolist():
            if tuple(second) in before:
                return None
            before[tuple(second)] = tuple(first)
            best |= {tuple(second)} if one.line.width > 2 else set()
    marks = {
        (float(x), float(y)): (told[0], float(told[1]), one.marker.symbol)
        for one in figure.data
        if one.mode != "lines"
        for x, y, told in zip(one.x, one.y, one.customdata, strict=True)
    }
    if {*marks} != {*before} or any(at[0] > 0 and at not in marks for at in before.values()):
        return None
    nodes = []
    for place, (_, score, symbol) in marks.items():
        path: list[str] = []
        at = place
        while at in marks and len(path) <= len(marks):
            path.append(marks[at][0])
            at = before[at]
        if len(path) != place[0]:
            return None
        nodes.append((tuple(reversed(path)), symbol, place in best, score))
    return sorted(nodes)


def _paths(tree: Sequence[BeamNode]) -> list[tuple[int, ...]]:
    """Of each node the nodes from the root on, itself last."""
    found: list[tuple[int, ...]] = []
    for number, node in enumerate(tree):
        found.append((*(found[node.parent] if node.parent >= 0 else ()), number))
    return found


def _expected_nodes(tree: Sequence[BeamNode], labels: Sequence[str], written: Sequence[int], ended: bool) -> list[Node]:
    paths = _paths(tree)
    whole = len(written) + ended
    tokens = [tuple(tree[i].token for i in path) for path in paths]
    last = next(
        (
            i
            for i, node in enumerate(tree)
            if node.fate == "ended" and len(paths[i]) == whole and tokens[i][: len(written)] == tuple(written)
        ),
        None,
    )
    best = set() if last is None else {*paths[last]}
    symbols = {"kept": "circle", "ended": "square"}
    return sorted(
        (tuple(labels[one] for one in paths[i]), symbols[node.fate], i in best, float(node.score))
        for i, node in enumerate(tree)
        if node.fate in symbols
    )


def _score_error(trace: Trace, tree: Sequence[BeamNode], written: Sequence[int]) -> float:
    """By how much more than rounding the scores behind the written words differ from the run's own logits.

    Tokens that are never written take no part in a search, which raises all others behind one word by the same.
    """
    if trace.logits is None:
        return 0.0
    paths, error = _paths(tree), 0.0
    rounding = 4 * trace.verify().logit_tolerance
    for depth in range(1, len(written) + 1):
        so_far = tuple(written[: depth - 1])
        row = np.asarray(trace.logits[trace.prompt_length + depth - 2], np.float64)
        chances = row - row.max() - np.log(np.exp(row - row.max()).sum())
        raised = [
            node.score - (tree[node.parent].score if node.parent >= 0 else 0.0) - chances[node.token]
            for node, path in zip(tree, paths, strict=True)
            if len(path) == depth and tuple(tree[i].token for i in path[:-1]) == so_far and np.isfinite(node.score)
        ]
        if raised:
            error = max(error, max(raised) - min(raised) - rounding, -min(raised) - rounding)
    return error
