"""A run of a Hugging Face model with the library's own eager attention, which shows every layer's weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from model.attention.edit_plan import EditPlan, editing
from model.attention.projections import shallow_copy
from model.huggingface.attention_interface import STOCK, showing_weights
from model.huggingface.opened_model import OpenedModel

Look = Callable[[str, int, Tensor], None]  # is shown kind, layer and weights [batch, head, query, key]


def stock_attentions(result: Any, single: str | None) -> dict[str, Sequence[Tensor]]:
    """Kind -> weights of each layer [batch, head, query, key], as the library gives them.

    Args:
        single: what a single stack is called here; None in an encoder-decoder model.

    Raises:
        ValueError: the model gives no weights.
    """
    names = {"encoder": "encoder_attentions", "decoder": "decoder_attentions", "cross": "cross_attentions"}
    names = names if single is None else {single: "attentions"}
    found = {kind: getattr(result, name) for kind, name in names.items()}
    if any(weights is None or any(layer is None for layer in weights) for weights in found.values()):
        raise ValueError(f"{type(result).__name__} holds no attention weights.")
    return found


def run_eager(lens: OpenedModel, inputs: dict[str, Tensor], plan: EditPlan | None, look: Look) -> Any:
    """The library's output object; `look` is shown each layer's weights as soon as they are computed.

    Args:
        inputs: what the module is fed.
        plan: edits; the library's own attention gets them as masks, scales and factors.
    """
    stock = shallow_copy(lens.module)
    with torch.inference_mode(), editing(plan):
        if lens.sees_inside:
            stock.set_attn_implementation(STOCK)
            with showing_weights(look):
                return lens.run(stock, inputs, eager=False)
        stock.set_attn_implementation("eager")
        result = lens.run(stock, inputs, eager=True)
        for kind, layers in stock_attentions(result, None if lens.is_pair else lens.single).items():
            for layer, theirs in enumerate(layers):
                look(kind, layer, theirs)
    return result
