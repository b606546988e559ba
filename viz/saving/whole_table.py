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
    over tokens), where it is normalized, and the largest difference between recomputed and real states of the stack.
    """
    import pandas as pd

    rows = [row for stack in model.stacks for row in _rows(model, stack)]
    if model.candidates:
        label, chance = model.candidates[model.written or 0]
        rows.append((rows[-1][0], "", f"{say('whole.output')}: {label} {chance:.0%}", np.nan, np.nan, "", np.nan))
    names = ("stack", "layer", "box", "adds", "length", "normalized", "error")
    return pd.DataFrame(rows, columns=[say(f"whole.column_{name}") for name in names])


def _rows(model: WholeModel, stack: str) -> Iterator[tuple[object, ...]]:
    """The rows of one stack."""
    summary, name = model.stacks[stack], say(f"kinds.{stack}")
    yield name, "", say("whole.embedding"), np.nan, np.nan, _yes(summary.embedding_norm), summary.error
    if summary.positions is not None:
        yield name, "", say("whole.positions"), np.nan, np.nan, "", summary.error
    for layer, blocks in enumerate(summary.layers):
        if not blocks:
            share = 100 * float(np.median(summary.layer_share[layer]))
            yield name, str(layer), say("whole.unknown"), round(share, 1), np.nan, "", summary.error
        for block in blocks:
            share, length = 100 * float(np.median(block.share)), float(np.median(block.length))
            box = block_title(block, stack), round(share, 1), round(length, 2), _norm(block)
            yield name, str(layer), *box, summary.error
    if summary.final_norm:
        yield name, "", say("whole.final_norm"), np.nan, np.nan, say("whole.norm_after"), summary.error


def _norm(block: BlockSummary) -> str:
    """Where a block is normalized, in words."""
    return say(f"whole.norm_{'after' if block.sum_norm else block.norm}")


def _yes(normalized: bool) -> str:
    return say("whole.norm_after") if normalized else ""
