"""Asking a Hugging Face model more than a trace holds: with each head silenced in turn, and layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from model.arrays.torch_to_numpy import to_numpy
from model.arrays.types import Array
from model.attention.edit_plan import EditPlan, editing
from model.huggingface.hooks import substituting
from model.huggingface.opened_model import OpenedModel
from model.trace.edits import Edits, Head


def outputs(
    lens: OpenedModel, inputs: dict[str, Tensor], plan: EditPlan | None, silenced: Sequence[Head]
) -> tuple[Tensor, bool]:
    """What the model makes of one input: once, or once for each head in `silenced`.

    Returns:
        As `TextModel.outputs`; what a whole picture shows counts as one token.
    """
    many = _repeated(inputs, max(len(silenced), 1))
    plan = replace(plan or EditPlan(Edits()), silenced=silenced) if silenced else plan
    with torch.inference_mode(), editing(plan):
        result = lens.run(lens.module, many, eager=False)
    logits: Tensor | None = getattr(result, "logits", None)
    if logits is None:
        return result.last_hidden_state, False
    return (logits if logits.dim() == 3 else logits[:, None]), True


def layer_logits(lens: OpenedModel, inputs: dict[str, Tensor], plan: EditPlan | None) -> Tensor | None:
    """What each layer would say if the output head came right behind it; as `TextModel.layer_logits`."""
    with torch.inference_mode(), editing(plan):
        result = lens.run(lens.module, inputs, eager=False)
        logits: Tensor | None = getattr(result, "logits", None)
        # Families with an attention of their own may hand their layers' states on in a shape of their own, too.
        if logits is None or logits.dim() < 3 or lens.last_block is None or not lens.sees_inside:
            return None
        # The last state of the list has the model's final norm behind it already; the others have not.
        states = torch.cat(result["decoder_hidden_states" if lens.is_pair else "hidden_states"][:-1])
        with substituting(lens.last_block, states):
            early = lens.run(lens.module, _repeated(inputs, len(states)), eager=False).logits
    return torch.cat([early, logits])


def guess(lens: OpenedModel, inputs: dict[str, Tensor], place: int, plan: EditPlan | None) -> Array | None:
    """What the model finds likely where a token is hidden; as `TextModel.guess`."""
    hidden = lens.tokenizer.mask_token_id
    if lens.writes or hidden is None or not lens.sees_inside or lens.module.get_output_embeddings() is None:
        return None
    inputs["input_ids"][0, place] = hidden
    with torch.inference_mode(), editing(plan):
        return to_numpy(lens.run(lens.module, inputs, eager=False).logits[0, place])


def _repeated(inputs: dict[str, Tensor], times: int) -> dict[str, Tensor]:
    return {name: tensor.expand(times, *tensor.shape[1:]) for name, tensor in inputs.items()}
