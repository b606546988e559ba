"""Probes of a Hugging Face model: outputs with heads silenced, the logit lens, masked tokens, and a contact head."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from model.arrays.torch_to_numpy import to_numpy
from model.arrays.types import Array
from model.attention.edit_plan import EditPlan, apply_edits
from model.huggingface.answers import WORDS, answer, word_logits
from model.huggingface.opened_model import OpenedModel
from model.huggingface.recording.hooks import replace_block_output
from model.measures.heads.head_effects import MAX_BATCH_TOKENS
from model.trace.edits import Edits, Head
from model.turns import rest

MAX_SLICE_CELLS = 20_000_000  # logits that are computed at once, 80 MB; at most about a third of a second


def outputs(
    lens: OpenedModel, inputs: dict[str, Tensor], plan: EditPlan | None, silenced: Sequence[Head]
) -> tuple[Tensor, bool]:
    """Output of one input, from one pass or from one pass for each silenced head.

    Args:
        inputs: keyword arguments of the module, for one text or picture.
        silenced: heads to silence, one a pass; empty for one pass without.

    Returns:
        As `TextModel.outputs`; class logits of a picture count as those of one token.
    """
    batch = _repeat(inputs, max(len(silenced), 1))
    plan = replace(plan or EditPlan(Edits()), silenced=silenced) if silenced else plan
    with torch.inference_mode(), apply_edits(plan):
        result = lens.run(lens.module, batch, eager=False)
    has_scores = word_logits(result) is not None or getattr(result, "start_logits", None) is not None
    return answer(result), has_scores


def layer_logits(lens: OpenedModel, inputs: dict[str, Tensor], plan: EditPlan | None) -> Iterator[Tensor] | None:
    """Logits from each layer's states through the output head, some layers at a time; as `TextModel.layer_logits`.

    Source: the logit lens (nostalgebraist 2020).
    """
    with torch.inference_mode(), apply_edits(plan):
        result = lens.run(lens.module, inputs, eager=False)
    logits = word_logits(result)
    # Families without the attention interface may also pass states between layers in a shape of their own.
    if lens.head != WORDS or logits is None or lens.last_block is None or not lens.uses_interface:
        return None
    # The last hidden state already went through the model's final norm; the others did not.
    states = torch.cat(result["decoder_hidden_states" if lens.is_encoder_decoder else "hidden_states"][:-1])
    return _logits_of(lens, inputs, plan, states, logits)


def _logits_of(
    lens: OpenedModel, inputs: dict[str, Tensor], plan: EditPlan | None, states: Tensor, last: Tensor
) -> Iterator[Tensor]:
    """Logits of states as the last block's output, some at a time, and then `last`. [layer, token, vocab]"""
    block = lens.last_block
    assert block is not None
    at_once = min(MAX_SLICE_CELLS // last.numel(), MAX_BATCH_TOKENS // last.shape[1])
    for part in states.split(max(at_once, 1)):
        with torch.inference_mode(), apply_edits(plan), replace_block_output(block, part):
            earlier = word_logits(lens.run(lens.module, _repeat(inputs, len(part)), eager=False))
        assert earlier is not None
        rest()  # the output head takes as long as what is made of it
        yield earlier
        rest(everyone=True)
    yield last


def guess(lens: OpenedModel, inputs: dict[str, Tensor], position: int, plan: EditPlan | None) -> Array | None:
    """Logits of a position whose token is masked; as `TextModel.guess`."""
    mask_id = lens.tokenizer.mask_token_id
    if lens.writes or mask_id is None or not lens.uses_interface or lens.module.get_output_embeddings() is None:
        return None
    with torch.inference_mode(), apply_edits(plan):
        logits = word_logits(lens.run(lens.module, masked(lens, inputs, position), eager=False))
    return None if logits is None else to_numpy(logits[0, position])


def masked(lens: OpenedModel, inputs: dict[str, Tensor], position: int) -> dict[str, Tensor]:
    """The inputs of one text with the mask token in place of one of its tokens."""
    ids = inputs["input_ids"].clone()
    ids[0, position] = lens.tokenizer.mask_token_id
    return inputs | {"input_ids": ids}


def _repeat(inputs: dict[str, Tensor], times: int) -> dict[str, Tensor]:
    """Inputs of one text repeated along the batch axis, without copying."""
    return {name: tensor.expand(times, *tensor.shape[1:]) for name, tensor in inputs.items()}


def contact_regression(lens: OpenedModel) -> tuple[Array, float] | None:
    """Weights of the contact head on `model.measures.structure.contacts.contact_scores`, and its offset.

    Returns:
        float32 [layer, head], and the offset; None where the model brings none.
    """
    heads = (getattr(one, "contact_head", None) for one in lens.module.modules())
    regression = getattr(next((one for one in heads if one is not None), None), "regression", None)
    if regression is None or "encoder" not in lens.heads:
        return None
    layers, count = lens.heads["encoder"]
    weights = to_numpy(regression.weight.detach()).astype(np.float32)
    if weights.shape != (1, layers * count):
        return None
    offset = 0.0 if regression.bias is None else float(regression.bias.detach().float())
    return weights.reshape(layers, count), offset
