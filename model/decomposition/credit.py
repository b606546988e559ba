"""Direct logit attribution: what each head and feed-forward layer adds to the score of a token.

Source: Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits". The scale of every norm on the way to
the score stays as it was in the pass, so that the parts add up.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from model.arrays.torch_to_numpy import to_numpy
from model.arrays.types import Array
from model.decomposition.model_parts import ModelPass
from model.decomposition.norms import norm_in_pass
from model.decomposition.observation import ModuleCall
from model.decomposition.plans.block_plan import BlockPlan, Key
from model.decomposition.residual_stream import Reading, read_stacks
from model.decomposition.stream_parts import SHIFT, HeadParts, ordered, parts_at
from model.errors import InputError
from model.trace.boxes.decomposition import Credit
from model.trace.boxes.stack import StackLayer

FAR = 1e-3  # difference, as a share, from which on a head's output is no linear map of the last state


def credit(given: ModelPass, position: int, token: int, against: int | None = None) -> Credit:
    """The credit of a token's score; as `Trace.credit`.

    Raises:
        InputError: the scores are not a linear map of the last state.
    """
    if given.output_matrix is None or given.logits is None:
        raise _no_credit()
    name = [*given.stacks][-1]
    heads: HeadParts = {}

    def split_heads(layer: int, calls: Mapping[Key, ModuleCall], plans: Sequence[BlockPlan], found: StackLayer) -> None:
        for index, (plan, block) in enumerate(zip(plans, found, strict=False)):
            parts = head_parts(plan, calls, position)
            if parts is not None and np.allclose(
                parts[0].sum(0) + parts[1], block.adds[position], atol=1e-4 * np.abs(block.adds[position]).max()
            ):
                heads[layer, index] = parts

    reading = read_stacks(given, {name: split_heads})[name]
    stack = reading.stack
    parts = parts_at(stack, name, position, len(stack.layers), 0, heads)
    parts.through(stack.final_norm, stack.states[-1][position])
    direction, bias, logit, cap = _direction(given, reading, position, token)
    if against is not None:
        other = _direction(given, reading, position, against)
        direction, bias, logit = direction - other[0], bias - other[1], logit - other[2]
    sources, vectors = ordered(parts)
    shares = dict(zip(sources, vectors @ direction, strict=True))
    shift = next((source for source in sources if source.kind == SHIFT), None)
    if shift is None and bias:
        parts.add(SHIFT, np.zeros_like(stack.final[0]))
        shift = [*parts.vectors][-1]
    if shift is not None:
        shares[shift] = shares.get(shift, 0.0) + bias
    found = np.asarray([*shares.values()])
    return Credit(tuple(shares), found, logit, abs(float(found.sum()) - logit), cap)


def _no_credit() -> InputError:
    return InputError(
        "no_credit",
        "The scores of this model are not a weighted sum of its last state, so no part has a share of them.",
    )


def head_parts(plan: BlockPlan, calls: Mapping[Key, ModuleCall], position: int) -> tuple[Array, Array] | None:
    """What each head of an attention adds at one position, and the bias; None where they cannot be told apart.

    Returns:
        float64 [head, d_model], [d_model]
    """
    if plan.projection is None or plan.projection not in calls or not plan.heads:
        return None
    call = calls[plan.projection]
    x = call.x
    if x is None or x.shape[1] % plan.heads:
        return None
    weight: Tensor = call.module.weight  # type: ignore[assignment]
    own = torch.zeros(plan.heads + 1, plan.heads, x.shape[1] // plan.heads, device=x.device)
    for head in range(plan.heads):  # the last row is for the bias alone
        own[head, head] = x[position].unflatten(0, (plan.heads, -1))[head]
    with torch.inference_mode():
        projected = call.module(own.flatten(1).to(weight.dtype)).double().cpu().numpy() * plan.factor
    bias, vectors = projected[-1], projected[:-1] - projected[-1]
    if plan.norm_after is None:
        return vectors, bias
    norm_call = calls[plan.norm_after]
    assert norm_call.x is not None
    norm = norm_in_pass(norm_call)
    scale = norm.scales(to_numpy(norm_call.x[position]))
    return norm.linear(vectors, scale), norm.linear(bias, scale) + norm.shift


def _direction(
    given: ModelPass, reading: Reading, position: int, token: int
) -> tuple[Array, float, float, float | None]:
    """What the last state is multiplied by for a token's score, what is added, the model's own score, and its cap.

    Raises:
        InputError: the scores are neither a linear map of the last state, nor one with a cap.
    """
    assert given.output_matrix is not None
    assert given.logits is not None
    matrix, bias = given.output_matrix
    stack, factor = reading.stack, _head_factor(given, reading)
    places = sorted({position, 0 if position else len(stack.final) - 1})
    states = torch.from_numpy(factor * stack.final[places]).to(matrix.device, matrix.dtype)
    raw = torch.nn.functional.linear(states, matrix, bias).detach().double()
    real = torch.stack([given.logits(place) for place in places]).double()
    row, at = matrix[token].detach().double().cpu().numpy() * factor, places.index(position)
    added = 0.0 if bias is None else float(bias[token].detach())
    size = float(real.abs().max())
    scale = float((raw * real).sum() / raw.pow(2).sum())
    extra = real - raw
    if bool((extra - extra[0]).abs().max() <= FAR * size) and len(places) > 1:  # the same at each position: a bias
        return row, added + float(extra[at, token]), float(real[at, token]), None
    if bool((scale * raw - real).abs().max() <= FAR * size):
        return scale * row, scale * added, float(real[at, token]), None
    cap = _cap(raw, real)
    if not bool((cap * torch.tanh(raw / cap) - real).abs().max() <= FAR * size):
        raise _no_credit()
    return row, added, float(raw[at, token]), cap


def _cap(raw: Tensor, real: Tensor) -> float:
    """c of c · tanh(score / c), from the largest score before and after. raw, real: [..., vocab]"""
    place = int(raw.abs().argmax())
    before, after = float(raw.flatten()[place].abs()), float(real.flatten()[place].abs())
    low, high = after * 1e-3 + 1e-9, before * 1e3 + 1.0
    for _ in range(100):
        cap = (low + high) / 2
        low, high = (cap, high) if cap * math.tanh(before / cap) < after else (low, cap)
    return high


def _head_factor(given: ModelPass, reading: Reading) -> float:
    """What the last state is multiplied by before the output head (T5 scales it)."""
    if not given.output_path:
        return 1.0
    stack = reading.stack
    call = next((one for one in reading.seen.after if one.path == given.output_path), None)
    if call is None or call.x is None or call.x.shape != stack.final.shape:
        raise _no_credit()
    x = to_numpy(call.x)
    factor = float((x * stack.final).sum() / (stack.final**2).sum())
    if np.abs(x - factor * stack.final).max() > FAR * np.abs(x).max():
        raise _no_credit()
    return factor
