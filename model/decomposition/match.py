"""One attention score taken apart: q · k split into what the streams of the query's and the key's token are made of.

Each part of a stream goes through the model's own projection (and rotation, and norm of queries, whose scale stays as
it was); the products of all pairs add up to the score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from model.arrays.torch_to_numpy import to_numpy
from model.arrays.types import Array
from model.attention.record import BatchCall, record
from model.decomposition.model_parts import ModelPass
from model.decomposition.norms import norm_in_pass
from model.decomposition.observation import ModuleCall, first_tensor
from model.decomposition.plans.block_plan import BlockPlan, Key
from model.decomposition.residual_stream import read_stacks
from model.decomposition.stream_parts import ordered, parts_at
from model.errors import InputError
from model.trace.boxes.decomposition import Source, Split
from model.trace.boxes.stack import Norm, StackLayer

CHUNK = 2**24  # numbers that a batch of inputs of one attention may have
TINY = 1e-6  # of this size a state is small beside a norm's epsilon, so that the norm is linear
FAR = 1e-3


@dataclass(frozen=True, eq=False)
class _Found:
    """The attention of a score: where it stands, and its call."""

    layer: int
    block: int
    root: ModuleCall
    norm: Norm | None


def split_match(given: ModelPass, kind: str, layer: int, head: int, query: int, key: int) -> Split:
    """One score taken apart; as `Trace.why`.

    Raises:
        InputError: the attention layer was not found.
    """
    name = "encoder" if kind == "encoder" else [*given.stacks][-1]
    found: list[_Found] = []

    def look(at: int, calls: Mapping[Key, ModuleCall], plans: Sequence[BlockPlan], blocks: StackLayer) -> None:
        for plan, block in zip(plans, blocks, strict=False):
            if block.attention == (kind, layer):
                norm = None
                if plan.norm_before is not None:
                    norm = norm_in_pass(calls[plan.norm_before])
                found.append(_Found(at, block.reads, calls[plan.root], norm))

    readings = read_stacks(given, {"encoder": None} | {name: look} if kind == "cross" else {name: look})
    stack = readings[name].stack
    if not found:
        raise InputError("no_blocks", "The layers of this model cannot be watched one by one.")
    place = found[0]

    def stream(position: int) -> tuple[Sequence[Source], Array]:
        parts = parts_at(stack, name, position, place.layer, place.block, {})
        parts.through(place.norm, parts.total)
        return ordered(parts)

    query_sources, query_parts = stream(query)
    own = _hidden(place.root)
    queries = _projected(place.root, own, "query", query, head, query_parts)
    if kind == "cross":
        encoder = readings["encoder"].stack
        parts = parts_at(encoder, "encoder", key, len(encoder.layers), 0, {})
        parts.through(encoder.final_norm, encoder.states[-1][key])
        key_sources, key_parts = ordered(parts)
        keys = _projected(place.root, _memory(place.root, encoder.final), "key", key, head, key_parts)
    else:
        key_sources, key_parts = stream(key)
        keys = _projected(place.root, own, "key", key, head, key_parts)
    call = readings[name].seen.record.calls[kind, layer]
    return _multiply(call, (query_sources, queries), (key_sources, keys), head, query, key)


def _multiply(
    call: BatchCall,
    queries: tuple[Sequence[Source], Array],
    keys: tuple[Sequence[Source], Array],
    head: int,
    i: int,
    j: int,
) -> Split:
    """All pairs of parts; the projections' biases and a bias of positions are sources of their own."""
    parts = queries[1] @ keys[1].T * call.scale
    names = [_with_bias(sources) for sources in (queries[0], keys[0])]
    shared = head * call.key.shape[1] // call.query.shape[1]
    score = float(call.query[0, head, i].double() @ call.key[0, shared, j].double()) * call.scale
    if call.bias is not None:
        bias = call.bias.expand(1, call.query.shape[1], *call.bias.shape[2:])
        added = float(bias[0, head, i, j])
        parts = np.pad(parts, ((0, 1), (0, 1)))
        parts[-1, -1] = added
        score += added
        names = [[*sources, Source("position_bias", None, None, sources[0].stack)] for sources in names]
    return Split(tuple(names[0]), tuple(names[1]), parts, score, abs(float(parts.sum()) - score))


def _with_bias(sources: Sequence[Source]) -> list[Source]:
    """The sources of a stream and, last, the bias of the projection."""
    return [*sources, Source("projection_bias", None, None, sources[0].stack)]


def _hidden(root: ModuleCall) -> Tensor:
    """The states that an attention was called with. [1, token, d_model]"""
    found = first_tensor((*root.arguments[0], *root.arguments[1].values()))
    if found is None or found.dim() != 3 or found.shape[0] != 1:
        raise InputError("no_blocks", "The layers of this model cannot be watched one by one.")
    return found


def _memory(root: ModuleCall, final: Array) -> Tensor:
    """The encoder's states among an attention's arguments. [1, token, d_model]"""
    for value in (*root.arguments[0], *root.arguments[1].values()):
        if not isinstance(value, Tensor) or value.shape != (1, *final.shape):
            continue
        if np.abs(to_numpy(value[0]) - final).max() <= FAR * np.abs(final).max():
            return value
    raise InputError("no_blocks", "The layers of this model cannot be watched one by one.")


def _projected(root: ModuleCall, states: Tensor, name: str, position: int, head: int, parts: Array) -> Array:
    """Each part of a state as the query or key that the model makes of it, and last the bias. [part + 1, head_dim]

    Args:
        states: the argument of the attention that holds the state; name: "query" or "key".
        parts: of the state at the position. [part, d_model]
    """
    width = parts.shape[1]
    own = states[0, position].double().cpu().numpy()
    asked = np.concatenate([parts, np.zeros((1, width)), own[None]])
    found = _ask(root, states, name, position, head, asked)
    bias, real = found[-2], found[-1]
    linear = found[:-2] - bias
    if np.abs(linear.sum(0) + bias - real).max() > FAR * np.abs(real).max():
        # A norm of queries and keys: small inputs go through it as through a matrix.
        small = _ask(root, states, name, position, head, TINY * asked)
        bias = small[-2]
        linear, whole = small[:-2] - bias, small[-1] - bias
        factor = float((whole * (real - bias)).sum() / max(float((whole**2).sum()), 1e-300))
        linear = linear * factor
    return np.concatenate([linear, bias[None]])


def _ask(root: ModuleCall, states: Tensor, name: str, position: int, head: int, asked: Array) -> Array:
    """What one head's query or key becomes when the state at a position is another one. [state, head_dim]"""
    size = max(CHUNK // states[0].numel(), 1)
    found = []
    for start in range(0, len(asked), size):
        chunk = torch.from_numpy(asked[start : start + size]).to(states.device, states.dtype)
        changed = states.repeat(len(chunk), 1, 1)
        changed[:, position] = chunk
        call = _call_again(root, states, changed)
        heads = getattr(call, name)
        at = head * heads.shape[1] // call.query.shape[1]
        found.append(heads[:, at, position].double().cpu().numpy())
    return np.concatenate(found)


def _call_again(root: ModuleCall, states: Tensor, changed: Tensor) -> BatchCall:
    """The attention call of a module whose states are changed, and repeated along the batch."""
    args, kwargs = root.arguments
    count = len(changed)

    def swap(value: Any) -> Any:
        if value is states:
            return changed
        is_state = isinstance(value, Tensor) and value.dim() == 3 and value.shape[0] == 1
        return value.expand(count, -1, -1) if is_state else value

    with torch.inference_mode(), record() as recorded:
        root.module(*map(swap, args), **{key: swap(value) for key, value in kwargs.items()})
    return next(iter(recorded.calls.values()))
