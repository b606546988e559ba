"""Verification of a from-scratch video model's trace against PyTorch's own functions with the same weights."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from model.attention.edit_plan import EditPlan, apply_edits
from model.attention.record import record
from model.trace.boxes.stack import FEED_FORWARD, FINAL
from model.trace.check import Check, Probe
from model.trace.trace import Trace
from model.verification.comparison import Comparison
from model.verification.float64 import Judge
from model.verification.references.left_out import layer_norm, without
from model.verification.references.self_attention import feed_forward, self_attention
from model.verification.references.stock_runs import verdict, verify_probe
from model.verification.references.stock_transformer import StockRun
from model.verification.words import share_of_differences

FEWEST_VOTES = 1e-3  # as in the model
HOW = "torch.nn.functional.multi_head_attention_forward with the same weights, run on the same frames"


@torch.no_grad()
def run_reference(
    ours: Any, pixels: Tensor, plan: EditPlan | None = None, dtype: torch.dtype = torch.float32
) -> StockRun:
    """One pass by PyTorch's own functions, whose logits are answers, [clip, digit, answer].

    Args:
        ours: a `model.translator.video.divided_attention.VideoTransformer`.
        pixels: uint8 [clip, frame, height, width]
        plan: edits, applied through the reference's own weights and masks; dtype: the number format it runs in.
    """
    config, frames, run = ours.config, pixels.shape[1], StockRun()
    x = _embed(ours, pixels, plan, dtype)
    # A token may look at those of its place, and at those of its frame.
    places, same = config.patches, torch.ones(frames, frames, device=pixels.device)
    within = torch.ones(places, places, device=pixels.device)
    masks = {
        "time": torch.kron(same, torch.eye(places, device=pixels.device)) > 0,
        "space": torch.kron(torch.eye(frames, device=pixels.device), within) > 0,
    }
    run.states["encoder"].append(x)
    for number, layer in enumerate(ours.layers):
        for kind, norm in (("time", layer.norm_1), ("space", layer.norm_2)):
            own, mask, place = (
                getattr(layer, f"{kind}_attention"),
                masks[kind][None, None],
                ("encoder", number, f"{kind}_attention"),
            )
            found = self_attention(own, layer_norm(norm, x, plan, place), mask, (kind, number), plan, run)
            x = x + without(plan, place, found)
        place = "encoder", number, FEED_FORWARD
        found = feed_forward(layer.feed_forward, layer_norm(layer.norm_3, x, plan, place), "encoder", run)
        x = x + without(plan, place, found)
        run.states["encoder"].append(x)
    last = layer_norm(ours.norm, x, plan, ("encoder", len(ours.layers) - 1, FINAL))
    both = F.linear(last, ours.patch_head.weight.to(dtype), ours.patch_head.bias.to(dtype))
    names, directions = both.split((config.digits + 1, config.directions), dim=-1)
    shares = torch.softmax(names, dim=-1)[..., :-1].transpose(1, 2)  # [clip, digit, token]
    votes = torch.matmul(shares, torch.softmax(directions, dim=-1))  # [clip, digit, direction]
    there = torch.log(votes + FEWEST_VOTES) * ours.vote_scale.to(dtype) + ours.vote_offset.to(dtype)
    run.logits = torch.cat([torch.zeros_like(there[..., :1]), there], dim=-1)
    return run


def _embed(ours: Any, pixels: Tensor, plan: EditPlan | None, dtype: torch.dtype) -> Tensor:
    """Patches by a convolution, with positions. uint8 [clip, frame, height, width] -> [clip, token, d]"""
    config, (clips, frames) = ours.config, pixels.shape[:2]
    seen = config.patch + 2 * config.margin
    kernel = ours.embedding.weight.to(dtype).view(config.d_model, 1, seen, seen)
    cut = F.conv2d(
        pixels.flatten(0, 1)[:, None].to(dtype) / 255,
        kernel,
        ours.embedding.bias.to(dtype),
        config.patch,
        config.margin,
    )
    x = cut.flatten(2).transpose(1, 2).reshape(clips, frames * config.patches, config.d_model)
    time, space = ours.time_positions.to(dtype)[:frames], ours.space_positions.to(dtype)
    positions = (time[:, None] + space).reshape(-1, config.d_model)
    order = None if plan is None else plan.position_order(len(positions))
    return x + (positions if order is None else positions[order])


def verify(
    ours: Any,
    read_classes: Callable[[Tensor], Sequence[tuple[str, float]]],
    pixels: Tensor,
    row: int,
    plan: EditPlan | None,
    trace: Trace,
    probe: Probe | None = None,
) -> Check:
    """The verdict on one input of a traced batch, or on a probe of it.

    Args:
        read_classes: labels and probabilities, likeliest first, from the logits of one clip.
        pixels: uint8 [clip, frame, height, width]; row: index in the batch; plan: the edits of the traced pass.
        trace: what is judged; probe: what is judged instead.
    """
    dtype = next(ours.parameters()).dtype

    def run_stock(edits: EditPlan | None, precision: torch.dtype) -> StockRun:
        return run_reference(ours, pixels, edits, precision)

    if probe is not None:
        return verify_probe(trace, dtype, row, run_stock, plan, probe, HOW)

    def add_more(comparison: Comparison, logits: Tensor) -> None:
        side = ours.config.size // ours.config.patch
        frames = range(pixels.shape[1])
        places = [f"{frame}:{i // side},{i % side}" for frame in frames for i in range(side * side)]
        for labels in (trace.tokens["encoder"].texts, *(one.query_tokens for one in trace.attentions.values()),
                       *(one.key_tokens for one in trace.attentions.values())):  # fmt: skip
            comparison.add("labels", share_of_differences(labels, places), 0.0, "encoder")
        expected, found = sorted(read_classes(logits)), sorted(trace.classes or ())
        named = share_of_differences([name for name, _ in found], [name for name, _ in expected])
        comparison.add("words", named, 0.0, "classes")
        for (_, one), (_, other) in zip(found, expected, strict=False):
            comparison.add("logits", abs(one - other), comparison.limits.weight(len(ours.layers)), "classes")

    def run_ours(judge: Judge) -> None:
        module = copy.deepcopy(ours).double()
        with torch.inference_mode(), apply_edits(plan), record() as recorded:
            states = module.encode(pixels, module.masks(pixels.shape[1]))
            logits = module.answer(states[-1])
        for kind, layer in recorded.calls:
            call = recorded.call(kind, layer, row)
            judge.add_layer(kind, layer, call.weights_tensor(), (call.query, call.key, call.value))
        judge.add_states("encoder", [one[row].flatten(0, 1) for one in states])
        judge.add_logits(logits[row])

    return verdict(trace, dtype, row, run_stock, plan, add_more, run_ours, HOW)
