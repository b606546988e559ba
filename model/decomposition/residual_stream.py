"""The residual stream of a stack, from one more pass: `model.trace.boxes.stack.Stack` of any transformer."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from model.arrays.torch_to_numpy import to_numpy
from model.arrays.types import Array
from model.attention.projections import shallow_copy
from model.decomposition.layer_plan import BlockPlan, Key, chosen_experts, plan_layer
from model.decomposition.model_parts import ModelPass
from model.decomposition.norms import norm_in_pass, read_norm
from model.decomposition.observation import LayerCalls, ModuleCall, Pass, Watched, find_layers, observe
from model.decomposition.stack_plan import EmbeddingPlan, StackPlan, final_norm, plan_embedding
from model.trace.boxes.stack import Block, Norm, Stack, StackLayer

OnLayer = Callable[[int, Mapping[Key, ModuleCall], Sequence[BlockPlan], StackLayer], None]

_plans: weakref.WeakKeyDictionary[nn.Module, dict[str, StackPlan]] = weakref.WeakKeyDictionary()


@dataclass(frozen=True, eq=False)
class Reading:
    """A residual stream, and what else was seen of the pass that it was read from."""

    stack: Stack
    seen: Pass


def read_stack(given: ModelPass, stack: str) -> Stack:
    """The residual stream of one stack in one pass, box by box."""
    return read_stacks(given, {stack: None})[stack].stack


def read_stacks(given: ModelPass, stacks: Mapping[str, OnLayer | None]) -> dict[str, Reading]:
    """The residual streams of some stacks in one pass, box by box.

    How the model is built is read off one pass without edits, once a model.

    Args:
        stacks: "encoder" | "decoder" -> what gets the calls of each layer by their keys, its plans and its blocks,
            while they are there; or None.
    """
    copied = shallow_copy(given.module)
    plans = plan_stacks(given, copied, [*stacks])
    readers = {stack: _StackReader(given, copied, stack, plans[stack], on_layer) for stack, on_layer in stacks.items()}
    passes = observe(copied, given.run, [reader.watched for reader in readers.values()])
    return {stack: reader.finish(seen) for (stack, reader), seen in zip(readers.items(), passes, strict=True)}


def neuron_rows(given: ModelPass, stack: str) -> dict[int, int]:
    """Which runs of a stack's layers have feed-forward neurons. run -> its row among the neurons of all layers"""
    layers = plan_stacks(given, shallow_copy(given.module), [stack])[stack].layers
    runs = [run for run, blocks in enumerate(layers) for block in blocks if block.neurons is not None]
    return {run: row for row, run in enumerate(runs)}


def _tolerance(module: nn.Module) -> float:
    """How far two ways of adding the same numbers may differ, as a share of a token's largest number."""
    dtype = next(iter(module.parameters())).dtype
    return 40 * torch.finfo(dtype).eps


def plan_stacks(given: ModelPass, copied: nn.Module, stacks: Sequence[str]) -> Mapping[str, StackPlan]:
    """How stacks are built, from one pass for all that were not asked for before. copied: a copy of the model"""
    known = _plans.setdefault(given.module, {})
    planners = {stack: _StackPlanner(given, copied, stack) for stack in stacks if stack not in known}
    if planners:
        passes = observe(copied, given.plain, [planner.watched for planner in planners.values()])
        for (stack, planner), seen in zip(planners.items(), passes, strict=True):
            known[stack] = planner.finish(seen)
    return known


class _StackPlanner:
    """Reads off one pass without edits how a stack is built. copied: a copy of the model"""

    def __init__(self, given: ModelPass, copied: nn.Module, stack: str) -> None:
        self.copied, self.words, self.tolerance = copied, given.words(stack, copied), _tolerance(copied)
        self.watched = Watched(find_layers(given.stacks[stack](copied)), given.tokens[stack], self._read_layer)
        self.layers: list[tuple[BlockPlan, ...]] = []
        self.ends: list[Tensor | None] = []
        self.positions = None if given.positions is None else given.positions(copied)

    def _read_layer(self, layer: LayerCalls) -> None:
        if not self.ends:
            self.ends.append(layer.own.x)
        self.ends.append(layer.own.y)
        self.layers.append(plan_layer(layer, self.tolerance))

    def finish(self, seen: Pass) -> StackPlan:
        """The plan, once all layers were read. seen: of their pass"""
        first, last = self.ends[0], self.ends[-1]
        if first is None or last is None:
            return StackPlan(EmbeddingPlan(None), tuple(self.layers), None)
        norm = final_norm(last, seen.after)
        embedding = plan_embedding(first, seen.before, self.copied, self.words, self.tolerance, self.positions)
        return StackPlan(embedding, tuple(self.layers), None if norm is None else norm.path)


class _StackReader:
    """Reads one pass by the plan of a stack; as `read_stacks`. copied: a copy of the model"""

    def __init__(
        self, given: ModelPass, copied: nn.Module, stack: str, plan: StackPlan, on_layer: OnLayer | None
    ) -> None:
        self.plan, self.on_layer = plan, on_layer
        paths = {path for layer in plan.layers for block in layer for path in block.paths}
        layers = find_layers(given.stacks[stack](copied))
        self.watched = Watched(layers, given.tokens[stack], self._read_layer, paths.__contains__)
        self.states: list[Array] = []
        self.blocks: list[StackLayer] = []

    def finish(self, seen: Pass) -> Reading:
        """The stack, once all layers were read. seen: of their pass"""
        embedding, positions, other, norm = self._embedding(seen)
        last = next((call for call in seen.after if call.path == self.plan.final_norm), None)
        final_norm, final = None, self.states[-1]
        if last is not None and last.x is not None and last.y is not None:
            final_norm, final = read_norm(last.module, last.x), to_numpy(last.y)
        states, layers = np.stack(self.states), tuple(self.blocks)
        return Reading(Stack(embedding, positions, other, norm, layers, states, final_norm, final), seen)

    def _read_layer(self, layer: LayerCalls) -> None:
        own = layer.own
        assert own.x is not None
        assert own.y is not None
        if not self.states:
            self.states.append(to_numpy(own.x))
        calls = {call.key: call for call in layer.parts}
        plans = self.plan.layers[len(self.blocks)]
        found = [self._block(plan, calls) for plan in plans]
        whole = tuple(block for block in found if block is not None)
        self.blocks.append(StackLayer(whole if len(whole) == len(plans) else ()))
        self.states.append(to_numpy(own.y))
        if self.on_layer is not None:
            self.on_layer(len(self.blocks) - 1, calls, plans, self.blocks[-1])

    def _block(self, plan: BlockPlan, calls: dict[tuple[str, int], ModuleCall]) -> Block | None:
        adds = calls.get(plan.adds)
        if adds is None or adds.y is None:
            return None
        sum_norm: Norm | None = None
        if plan.sum_norm is not None:
            sum_norm = norm_in_pass(calls[plan.sum_norm])
        attention = next(iter(sorted(calls[plan.root].attention)), None) if plan.root in calls else None
        neurons = calls[plan.neurons].x if plan.neurons in calls else None
        experts = chosen_experts(calls[plan.experts]) if plan.experts in calls else None
        return Block(
            plan.kind,
            plan.root[0],
            plan.norm,
            to_numpy(plan.factor * adds.y),
            plan.reads,
            sum_norm,
            attention,
            None if neurons is None else to_numpy(neurons),
            None if experts is None else (to_numpy(experts[0]), to_numpy(experts[1])),
        )

    def _embedding(self, seen: Pass) -> tuple[Array, Array | None, Array | None, Norm | None]:
        """Tokens, positions, what else is added, and the norm of the sum; what cannot be told apart is the tokens'."""
        plan, first = self.plan.embedding, self.states[0]
        calls = {call.path: call for call in seen.before if call.y is not None and len(call.y) == len(first)}
        if plan.tokens is None or plan.tokens[0] not in calls:
            return first, None, None, None
        total, norm = first, None
        if plan.norm is not None:
            call = calls[plan.norm]
            assert call.x is not None
            total, norm = to_numpy(call.x), read_norm(call.module, call.x)
        tokens = to_numpy(self._part(calls, *plan.tokens))
        others = [to_numpy(self._part(calls, name, factor)) for name, factor in plan.other if name in calls]
        other = np.sum(others, axis=0) if others else None
        rest = total - tokens - (0 if other is None else other)
        small = np.abs(rest).max() <= 1e-4 * np.abs(total).max()
        return tokens, None if small else rest, other, norm

    @staticmethod
    def _part(calls: dict[str, ModuleCall], name: str, factor: float) -> Tensor:
        """What a part of the embedding adds. [token, d_model]"""
        found = calls[name].y
        assert found is not None
        return factor * found
