"""A from-scratch pass taken apart: blocks of the residual stream, credit of a token's score, one match split."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

from torch import Tensor

from model.attention.edit_plan import EditPlan, apply_edits
from model.decomposition.model_parts import ModelPass
from model.decomposition.take_apart import take_apart


def take_pass_apart(
    lens: Any, inputs: Sequence[Tensor], row: int, plan: EditPlan | None, logits: Tensor, *wanted: Any
) -> Any:
    """What is wanted of one text of a pass, as `model.decomposition.take_apart.take_apart`.

    Args:
        lens: a `model.translator.own_model.OwnModel`.
        inputs: ids of the batch for each stack, as its module takes them, int64 [b, token]; row: which of the texts.
        logits: of the pass. [b, t, vocab]
    """
    own = tuple(ids[row : row + 1] for ids in inputs)
    stacks = [stack for stack in ("encoder", "decoder") if stack in lens.heads]

    def run(module: Any) -> Any:
        with apply_edits(plan):
            return module(*own)

    given = ModelPass(
        lens.module,
        {stack: attrgetter(stack) for stack in stacks},
        lambda _, module: module.embedding,
        {stack: ids.shape[1] for stack, ids in zip(stacks, own, strict=True)},
        run,
        lambda module: module(*own),
        (lens.module.embedding.weight, None),
        logits=lambda position: logits[row, position],
    )
    return take_apart(given, *wanted)
