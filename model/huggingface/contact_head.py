"""The contact head that some protein models bring: a logistic regression over the maps of all heads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from model.arrays.torch_to_numpy import to_numpy
from model.arrays.types import Array

if TYPE_CHECKING:
    from model.huggingface.text_model import TextModel


def contact_regression(self: TextModel) -> tuple[Array, float] | None:
    """Weights of the contact head on `model.measures.structure.contacts.contact_scores`, and its offset.

    Returns:
        float32 [layer, head], and the offset; None where the model brings none.
    """
    heads = (getattr(one, "contact_head", None) for one in self.module.modules())
    regression = getattr(next((one for one in heads if one is not None), None), "regression", None)
    if regression is None or "encoder" not in self.heads:
        return None
    layers, count = self.heads["encoder"]
    weights = to_numpy(regression.weight.detach()).astype(np.float32)
    if weights.shape != (1, layers * count):
        return None
    offset = 0.0 if regression.bias is None else float(regression.bias.detach().float())
    return weights.reshape(layers, count), offset
