"""Boxes and norms that edits leave out of a reference run, by PyTorch's own means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from model.attention.edit_plan import EditPlan
from model.trace.boxes.stack import ATTENTION, CROSS_ATTENTION, FEED_FORWARD
from model.trace.edits import Edits

BOXES = {"encoder": (ATTENTION, FEED_FORWARD), "decoder": (ATTENTION, CROSS_ATTENTION, FEED_FORWARD)}
Place = tuple[str, int, str]  # stack, layer and kind of a box


def leave_out_boxes(weights: dict[str, Tensor], modules: Mapping[tuple[str, int], str], edits: Edits) -> None:
    """Set the last matrix of each box that edits leave out, and its bias, to zero, and the gain of norms to one.

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
        for number, one in enumerate(BOXES[stack], 1):
            if edits.leaves_out(stack, layer, f"{one}_gain"):
                norm = f"{stack}.layers.{layer}.norm{number}"
                weights[f"{norm}.weight"] = torch.ones_like(weights[f"{norm}.weight"])
                weights[f"{norm}.bias"] = torch.zeros_like(weights[f"{norm}.bias"])


def pass_norms(reference: Any, plan: EditPlan | None) -> Iterator[RemovableHandle]:
    """Hooks that let states pass the norms of an `nn.Transformer` that edits leave out."""
    for stack, kinds in BOXES.items() if plan is not None else ():
        for layer, module in enumerate(getattr(reference, stack).layers):
            for number, kind in enumerate(kinds, 1):
                if plan is not None and plan.edits.leaves_out(stack, layer, f"{kind}_norm"):
                    yield module.get_submodule(f"norm{number}").register_forward_hook(_pass_on)


def _pass_on(_: nn.Module, given: tuple[Tensor, ...], __: Tensor) -> Tensor:
    """A forward hook: what comes in goes out."""
    return given[0]


def layer_norm(ours: Any, x: Tensor, plan: EditPlan | None = None, place: Place | None = None) -> Tensor:
    """A layer norm with the weights of `ours`, in the number format of x. [..., d]

    Args:
        plan: edits that may leave out the norm of the box at a place, or its gain and shift.
    """
    left_out = (
        set()
        if plan is None or place is None
        else {part for part in ("norm", "gain") if plan.edits.leaves_out(*place[:2], f"{place[2]}_{part}")}
    )
    if "norm" in left_out:
        return x
    gain, shift = (None, None) if "gain" in left_out else (ours.weight.to(x.dtype), ours.bias.to(x.dtype))
    return F.layer_norm(x, x.shape[-1:], gain, shift, ours.eps)


def without(plan: EditPlan | None, place: Place, adds: Tensor) -> Tensor:
    """What a box adds, or zeros where edits leave it out. [..., d]"""
    return torch.zeros_like(adds) if plan is not None and plan.edits.leaves_out(*place) else adds
