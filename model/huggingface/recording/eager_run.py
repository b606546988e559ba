"""Reference runs of a Hugging Face model with the library's own eager attention, which returns all weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from model.attention.edit_plan import EditPlan, apply_edits
from model.attention.projections import shallow_copy
from model.attention.record import WeightsCallback
from model.errors import OpeningError
from model.huggingface.opened_model import OpenedModel
from model.huggingface.recording.attention_interface import LIBRARY_EAGER, capture_weights

NO_WEIGHTS = "it has no attention, or the library does not return its weights: there is nothing to show"


def library_attentions(result: Any, single: str | None) -> dict[str, Sequence[Tensor]]:
    """Kind -> weights of each layer, [batch, head, query, key], from the library's output object.

    Args:
        result: of a pass with `output_attentions`.
        single: "encoder" or "decoder" for a model with a single stack; None for an encoder-decoder model.

    Raises:
        OpeningError: the output holds no weights.
    """
    names = {"encoder": "encoder_attentions", "decoder": "decoder_attentions", "cross": "cross_attentions"}
    names = names if single is None else {single: "attentions"}
    found = {kind: getattr(result, name, None) for kind, name in names.items()}
    # Layers without attention, as in hybrids, have None or an empty tuple in their place.
    attentions = {
        kind: [one for one in layers if isinstance(one, Tensor)] for kind, layers in found.items() if layers is not None
    }
    if not any(attentions.values()):
        raise OpeningError(NO_WEIGHTS)
    return {kind: layers for kind, layers in attentions.items() if layers}


def run_eager(lens: OpenedModel, inputs: dict[str, Tensor], plan: EditPlan | None, on_weights: WeightsCallback) -> Any:
    """The library's output object of a pass with its own eager attention.

    Args:
        inputs: keyword arguments of the module.
        plan: edits, which the library's attention gets as masks, scales and factors.
        on_weights: receives each layer's weights as soon as they are computed.
    """
    reference = shallow_copy(lens.module)
    with torch.inference_mode(), apply_edits(plan):
        if lens.uses_interface:
            reference.set_attn_implementation(LIBRARY_EAGER)
            with capture_weights(on_weights):
                return lens.run(reference, inputs, eager=False)
        reference.set_attn_implementation("eager")
        result = lens.run(reference, inputs, eager=True)
        for kind, layers in library_attentions(result, None if lens.is_encoder_decoder else lens.single_stack).items():
            for layer, weights in enumerate(layers):
                on_weights(kind, layer, weights)
    return result
