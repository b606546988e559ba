"""Boxes that edits leave out of an `nn.Transformer`: their last matrices are zero."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from model.trace.boxes.stack import ATTENTION, CROSS_ATTENTION, FEED_FORWARD
from model.trace.edits import Edits


def leave_out_boxes(weights: dict[str, Tensor], modules: Mapping[tuple[str, int], str], edits: Edits) -> None:
    """Set the last matrix of each box that edits leave out, and its bias, to zero.

    Args:
        weights: by their names in `nn.Transformer`; changed in place.
        modules: (kind, layer) of each attention -> the name of its module.
    """
    for (kind, layer), name in modules.items():
        stack, box = ("decoder", CROSS_ATTENTION) if kind == "cross" else (kind, ATTENTION)
        outputs = [(box, f"{name}.out_proj"), (FEED_FORWARD, f"{stack}.layers.{layer}.linear2")]
        for left_out in (output for one, output in outputs if edits.leaves_out(stack, layer, one)):
            for part in ("weight", "bias"):
                weights[f"{left_out}.{part}"] = torch.zeros_like(weights[f"{left_out}.{part}"])
