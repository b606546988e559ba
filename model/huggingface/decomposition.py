"""A Hugging Face model's pass taken apart: blocks of the residual stream, credit of a score, one match split."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor, nn

from model.attention.edit_plan import EditPlan, apply_edits
from model.decomposition.model_parts import ModelPass
from model.decomposition.take_apart import take_apart
from model.huggingface.opened_model import OpenedModel


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
        {stack: partial(_find_stack, stack) for stack in _stacks(lens)},
        lambda stack, module: _find_stack(stack, module).get_input_embeddings(),  # type: ignore[operator]
        _lengths(lens, own),
        run,
        plain,
        matrix,
        next((name for name, part in lens.module.named_modules() if part is head), ""),
        None if logits is None else lambda position: logits[row, position],
    )
    return take_apart(given, *wanted)


def _stacks(lens: OpenedModel) -> tuple[str, ...]:
    return ("encoder", "decoder") if lens.is_encoder_decoder else (lens.single_stack,)


def _find_stack(stack: str, module: Any) -> nn.Module:
    """A stack of a copy of the model; of a model with one stack the whole model."""
    if not module.config.is_encoder_decoder or type(module).__name__.endswith("EncoderModel"):
        return module
    found: nn.Module = module.get_encoder() if stack == "encoder" else module.get_decoder()
    return found


def _lengths(lens: OpenedModel, inputs: dict[str, Tensor]) -> dict[str, int]:
    """Tokens in the stream of each stack."""
    if "input_ids" not in inputs:
        return {lens.single_stack: lens.max_tokens}
    lengths = dict.fromkeys(_stacks(lens), inputs["input_ids"].shape[1])
    if "decoder_input_ids" in inputs:
        lengths["decoder"] = inputs["decoder_input_ids"].shape[1]
    return lengths
