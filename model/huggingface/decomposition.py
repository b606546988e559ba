"""A Hugging Face model's pass taken apart: blocks of the residual stream, credit of a score, one match split."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor

from model.attention.edit_plan import EditPlan, apply_edits
from model.decomposition.model_parts import ModelPass
from model.decomposition.take_apart import take_apart
from model.huggingface.opened_model import OpenedModel, find_stack, stack_names


def take_pass_apart(
    lens: OpenedModel, inputs: dict[str, Tensor], row: int, plan: EditPlan | None, logits: Tensor | None, *wanted: Any
) -> Any:
    """What is wanted of one text of a pass, as `model.decomposition.take_apart.take_apart`.

    Args:
        inputs: keyword arguments of the module, for the batch; row: the text's place in it.
        logits: the pass's scores of words, or None. [batch, token, vocab]
    """
    own = {name: tensor[row : row + 1] for name, tensor in inputs.items()}
    plain = partial(lens.run, inputs=own, eager=not lens.uses_interface)

    def run(module: Any) -> Any:
        with apply_edits(plan):
            return plain(module)

    head = lens.module.get_output_embeddings()
    matrix = None if head is None or logits is None else (head.weight, getattr(head, "bias", None))
    given = ModelPass(
        lens.module,
        {stack: partial(find_stack, stack) for stack in stack_names(lens)},
        lambda stack, module: find_stack(stack, module).get_input_embeddings(),  # type: ignore[operator]
        _lengths(lens, own),
        run,
        plain,
        matrix,
        next((name for name, part in lens.module.named_modules() if part is head), ""),
        None if logits is None else lambda position: logits[row, position],
    )
    return take_apart(given, *wanted)


def _lengths(lens: OpenedModel, inputs: dict[str, Tensor]) -> dict[str, int]:
    """Tokens in the stream of each stack."""
    if "input_ids" not in inputs:
        return {lens.single_stack: lens.max_tokens}
    lengths = dict.fromkeys(stack_names(lens), inputs["input_ids"].shape[1])
    if "decoder_input_ids" in inputs:
        lengths["decoder"] = inputs["decoder_input_ids"].shape[1]
    return lengths
