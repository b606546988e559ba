"""The translator's pass taken apart: blocks of the residual stream, credit of a token's score, one match split."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

from torch import Tensor

from model.attention.edit_plan import EditPlan, apply_edits
from model.decomposition.model_parts import ModelPass
from model.decomposition.take_apart import take_apart


def take_pass_apart(
    lens: Any, source: Tensor, target: Tensor, row: int, plan: EditPlan | None, logits: Tensor, *wanted: Any
) -> Any:
    """What is wanted of one sentence of a pass, as `model.decomposition.take_apart.take_apart`.

    Args:
        lens: the `model.translator.translator.Translator`.
        source, target: ids of the batch, int64 [b, token]; row: the sentence's place in it.
        logits: of the pass. [b, t, vocab]
    """
    own = (source[row : row + 1], target[row : row + 1])

    def run(module: Any) -> Any:
        with apply_edits(plan):
            return module(*own)

    given = ModelPass(
        lens.module,
        {"encoder": attrgetter("encoder"), "decoder": attrgetter("decoder")},
        lambda _, module: module.embedding,
        {"encoder": source.shape[1], "decoder": target.shape[1]},
        run,
        lambda module: module(*own),
        (lens.module.embedding.weight, None),
        logits=lambda position: logits[row, position],
    )
    return take_apart(given, *wanted)
