"""A Hugging Face model's pass taken apart: blocks of the residual stream, credit of a score, one match split."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from torch import Tensor, nn

from model.attention.edit_plan import EditPlan, apply_edits
from model.decomposition.boxes import hook_boxes
from model.decomposition.model_parts import ModelPass
from model.decomposition.take_apart import take_apart
from model.huggingface.opened_model import OpenedModel, find_stack, stack_names
from model.huggingface.recording.word_scores import WordScores
from model.trace.edits import Boxes


def take_pass_apart(
    lens: OpenedModel,
    inputs: dict[str, Tensor],
    row: int,
    plan: EditPlan | None,
    scores: WordScores | None,
    *wanted: Any,
) -> Any:
    """What is wanted of one text of a pass, as `model.decomposition.take_apart.take_apart`.

    Args:
        inputs: keyword arguments of the module, for the batch; row: the text's place in it.
        scores: of words, of this text in the pass, or None.
    """
    boxes(lens)  # how the model is built is read off a short pass: off a long text that takes longer than the rest
    own = {name: tensor[row : row + 1] for name, tensor in inputs.items()}
    given = _model_pass(lens, own, plan)
    if scores is not None:
        head = lens.module.get_output_embeddings()
        given = replace(
            given,
            output_matrix=None if head is None else (head.weight, getattr(head, "bias", None)),
            output_path=next((name for name, part in lens.module.named_modules() if part is head), ""),
            logits=lambda position: scores.rows(lens, position, position + 1)[0],
        )
    return take_apart(given, *wanted)


def boxes(lens: OpenedModel) -> Boxes:
    """As `model.trace.lens.Lens.boxes`."""
    return hook_boxes(lens.module, lambda: _model_pass(lens, lens.dummy_inputs(), None))


def _model_pass(lens: OpenedModel, own: dict[str, Tensor], plan: EditPlan | None) -> ModelPass:
    """One pass of one text, to be run again, without what its scores come from. own: keyword arguments of the module"""
    plain = partial(lens.run, inputs=own, eager=not lens.uses_interface)

    def run(module: Any) -> Any:
        with apply_edits(plan):
            return plain(module)

    return ModelPass(
        lens.module,
        {stack: partial(find_stack, stack) for stack in stack_names(lens)},
        _table_of_tokens,
        _lengths(lens, own),
        run,
        plain,
        frames=lens.frames_of_tokens,
    )


def _table_of_tokens(stack: str, module: Any) -> nn.Module:
    """The table of tokens of a stack; the model's where the stack does not name its own (FSMT)."""
    part: Any = find_stack(stack, module)
    try:
        found: nn.Module = (part if hasattr(part, "get_input_embeddings") else module).get_input_embeddings()
    except NotImplementedError:  # an encoder that hears has none
        found = module.get_input_embeddings()
    return found


def _lengths(lens: OpenedModel, inputs: dict[str, Tensor]) -> dict[str, int]:
    """Tokens in the stream of each stack."""
    return {stack: lens.length_of(stack, inputs) for stack in stack_names(lens)}
