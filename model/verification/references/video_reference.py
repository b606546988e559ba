"""Verification of a from-scratch video model's trace against PyTorch's own functions with the same weights."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from model.attention.edit_plan import EditPlan
from model.trace.check import Check, Probe, not_compared
from model.trace.trace import Trace
from model.verification.references.self_attention import feed_forward, layer_norm, self_attention, verdict

FEWEST_VOTES = 1e-3  # as in the model
HOW = "torch.nn.functional.multi_head_attention_forward with the same weights, run on the same frames"


@torch.no_grad()
def run_reference(
    ours: Any, pixels: Tensor, plan: EditPlan | None = None
) -> tuple[Tensor, dict[tuple[str, int], Tensor], list[Tensor]]:
    """Answers and every head's weights, computed by PyTorch's own functions.

    Args:
        ours: a `model.translator.video.divided_attention.VideoTransformer`.
        pixels: uint8 [clip, frame, height, width]
        plan: edits, applied through the reference's own weights and masks.

    Returns:
        logits [clip, digit, answer]; ("time" or "space", layer) -> weights [clip, head, query, key]; states at each
        depth [clip, token, d].
    """
    config, frames = ours.config, pixels.shape[1]
    x = _embed(ours, pixels, plan)
    # A token may look at those of its place, and at those of its frame.
    places, same = config.patches, torch.ones(frames, frames, device=pixels.device)
    within = torch.ones(places, places, device=pixels.device)
    masks = {
        "time": torch.kron(same, torch.eye(places, device=pixels.device)) > 0,
        "space": torch.kron(torch.eye(frames, device=pixels.device), within) > 0,
    }
    weights: dict[tuple[str, int], Tensor] = {}
    states = [x]
    for number, layer in enumerate(ours.layers):
        for kind, norm in (("time", layer.norm_1), ("space", layer.norm_2)):
            own = getattr(layer, f"{kind}_attention")
            normed = layer_norm(norm, x)
            output, weights[kind, number] = self_attention(own, normed, masks[kind][None, None], kind, number, plan)
            x = x + output
        x = x + feed_forward(layer.feed_forward, layer_norm(layer.norm_3, x))
        states.append(x)
    both = F.linear(layer_norm(ours.norm, x), ours.patch_head.weight.float(), ours.patch_head.bias.float())
    names, directions = both.split((config.digits + 1, config.directions), dim=-1)
    shares = torch.softmax(names, dim=-1)[..., :-1].transpose(1, 2)  # [clip, digit, token]
    votes = torch.matmul(shares, torch.softmax(directions, dim=-1))  # [clip, digit, direction]
    there = torch.log(votes + FEWEST_VOTES) * ours.vote_scale.float() + ours.vote_offset.float()
    return torch.cat([torch.zeros_like(there[..., :1]), there], dim=-1), weights, states


def _embed(ours: Any, pixels: Tensor, plan: EditPlan | None) -> Tensor:
    """Patches by a convolution, with positions. uint8 [clip, frame, height, width] -> float32 [clip, token, d]"""
    config, (clips, frames) = ours.config, pixels.shape[:2]
    seen = config.patch + 2 * config.margin
    kernel = ours.embedding.weight.float().view(config.d_model, 1, seen, seen)
    cut = F.conv2d(
        pixels.flatten(0, 1)[:, None].float() / 255, kernel, ours.embedding.bias.float(), config.patch, config.margin
    )
    x = cut.flatten(2).transpose(1, 2).reshape(clips, frames * config.patches, config.d_model)
    time, space = ours.time_positions.float()[:frames], ours.space_positions.float()
    positions = (time[:, None] + space).reshape(-1, config.d_model)
    order = None if plan is None else plan.position_order(len(positions))
    return x + (positions if order is None else positions[order])


def verify(
    ours: Any, pixels: Tensor, row: int, plan: EditPlan | None, trace: Trace, probe: Probe | None = None
) -> Check:
    """The verdict on one input of a traced batch; none on a probe of it.

    Args:
        pixels: uint8 [clip, frame, height, width]; row: index in the batch; plan: the edits of the traced pass.
        trace: what is judged.
    """
    if probe is not None:
        return not_compared(probe)
    logits, weights, states = run_reference(ours, pixels, plan)
    own, dtype = {place: one[row] for place, one in weights.items()}, next(ours.parameters()).dtype
    length = len(trace.ids["decoder"]) if trace.ids.get("decoder") else logits.shape[1]
    return verdict(trace, dtype, logits[row][:length], own, [state[row] for state in states], HOW)
