"""The boxes of the whole model as a table. pandas is imported by the call, as in `viz.saving.tables`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from model.trace.boxes.stack_summary import BlockSummary
from viz.figures.whole_boxes import block_title
from viz.figures.whole_layout import WholeModel
from viz.language.messages import say

if TYPE_CHECKING:
    import pandas as pd


def whole_table(model: WholeModel) -> pd.DataFrame:
    """Table of the boxes of every layer, folded ones too, a row each in the order of computing.

    Columns: stack, layer, box, what it adds as a share of the stream's length and the stream's length after it (medians
    over tokens), where it is normalized, and the largest difference between recomputed and real states of the stack;
    of a run with edits also what it added, and the length, without them.
    """
    import pandas as pd

    rows = [row for stack in model.stacks for row in _rows(model, stack)]
    if model.candidates:
        label, chance = model.candidates[model.written or 0]
        answer = f"{say('whole.output')}{say('language.colon')} {label} {chance:.0%}"
        rows.append((rows[-1][0], "", answer, np.nan, np.nan, "", np.nan, np.nan, np.nan))
    names = ["stack", "layer", "box", "adds", "length", "normalized", "error", "adds_before", "length_before"]
    found = pd.DataFrame(rows, columns=[say(f"whole.column_{name}") for name in names])
    return found if model.before else found.iloc[:, :-2]


def _rows(model: WholeModel, stack: str) -> Iterator[tuple[object, ...]]:
    """The rows of one stack."""
    summary, name, before = model.stacks[stack], say(f"kinds.{stack}"), model.before.get(stack)
    none = (np.nan, np.nan)
    yield name, "", say("whole.embedding"), *none, _yes(summary.embedding_norm), summary.error, *none
    if summary.positions is not None:
        yield name, "", say("whole.positions"), *none, "", summary.error, *none
    for layer, blocks in enumerate(summary.layers):
        if not blocks:
            shares = [_percent(one.layer_share[layer]) for one in (summary, before) if one is not None]
            was = (*shares[1:], *none)[:2]
            yield name, str(layer), say("whole.unknown"), shares[0], np.nan, "", summary.error, *was
        for index, block in enumerate(blocks):
            was = none if before is None else _sizes(before.layers[layer][index])
            yield name, str(layer), block_title(block, stack), *_sizes(block), _norm(block), summary.error, *was
    if summary.final_norm:
        yield name, "", say("whole.final_norm"), *none, say("whole.norm_after"), summary.error, *none


def _sizes(block: BlockSummary) -> tuple[float, float]:
    """What a box adds, in percent of the stream's length, and that length after it."""
    return _percent(block.share), round(float(np.median(block.length)), 2)


def _percent(shares: np.ndarray) -> float:
    """The median share of the tokens, in percent."""
    return round(100 * float(np.median(shares)), 1)


def _norm(block: BlockSummary) -> str:
    """Where a block is normalized, in words."""
    return say(f"whole.norm_{'after' if block.sum_norm else block.norm}")


def _yes(normalized: bool) -> str:
    return say("whole.norm_after") if normalized else ""
