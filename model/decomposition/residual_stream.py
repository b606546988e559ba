"""The residual stream of a stack, from one more pass: `model.trace.boxes.stack.Stack` of any transformer."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from model.arrays.torch_to_numpy import to_numpy
from model.arrays.types import Array
from model.attention.projections import shallow_copy
from model.decomposition.model_parts import ModelPass
from model.decomposition.norms import norm_in_pass, norm_of_call
from model.decomposition.observation import LayerCalls, ModuleCall, Pass, Watched, find_layers, observe
from model.decomposition.plans.arrangement import to_stream
from model.decomposition.plans.block_kinds import chosen_experts
from model.decomposition.plans.block_plan import BlockPlan, Key
from model.decomposition.plans.layer_plan import plan_layer
from model.decomposition.plans.stack_plan import EmbeddingPlan, StackPlan, final_norm, heard_rows, plan_embedding
from model.decomposition.progress import layer_read
from model.trace.boxes.stack import CROSS_ATTENTION, TIME_ATTENTION, Block, Norm, Stack, StackLayer

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
        self.frames, self.shown = given.frames, given.shown
        self.watched = Watched(find_layers(given.stacks[stack](copied)), given.tokens[stack], self._read_layer)
        self.layers: list[tuple[BlockPlan, ...]] = []
        self.sum_norms: list[dict[Key, Norm]] = []
        self.ends: list[Tensor | None] = []
        self.positions = None if given.positions is None else given.positions(copied)

    def _read_layer(self, layer: LayerCalls) -> None:
        if not self.ends:
            self.ends.append(layer.own.x)
        self.ends.append(layer.own.y)
        self.layers.append(plan_layer(layer, self.tolerance, self.frames))
        keys = {plan.sum_norm for plan in self.layers[-1]}
        norms = {call.key: call for call in layer.parts if call.key in keys}
        self.sum_norms.append({key: norm_in_pass(call) for key, call in norms.items()})

    def finish(self, seen: Pass) -> StackPlan:
        """The plan, once all layers were read. seen: of their pass"""
        first, last = self.ends[0], self.ends[-1]
        if first is None or last is None:
            return StackPlan(EmbeddingPlan(None), tuple(self.layers), None, tuple(self.sum_norms))
        norm = final_norm(last, seen.after)
        behind = None
        if self.shown is not None:
            first, behind = first[list(self.shown)], self.frames.count(-1)
        embedding = plan_embedding(first, seen.before, self.copied, self.words, self.tolerance, self.positions, behind)
        path = None if norm is None else norm.path
        return StackPlan(embedding, tuple(self.layers), path, tuple(self.sum_norms))


class _StackReader:
    """Reads one pass by the plan of a stack; as `read_stacks`. copied: a copy of the model"""

    def __init__(
        self, given: ModelPass, copied: nn.Module, stack: str, plan: StackPlan, on_layer: OnLayer | None
    ) -> None:
        self.plan, self.on_layer, self.stack, self.shown = plan, on_layer, stack, given.shown
        paths = {path for layer in plan.layers for block in layer for path in block.paths}
        layers = find_layers(given.stacks[stack](copied))
        self.watched = Watched(layers, given.tokens[stack], self._read_layer, paths.__contains__)
        self.attentions: Counter[str] = Counter()
        self.states: list[Array] = []
        self.blocks: list[StackLayer] = []
        self.weights: list[frozenset[int]] = []  # which parameters each layer has

    def finish(self, seen: Pass) -> Reading:
        """The stack, once all layers were read. seen: of their pass"""
        embedding, positions, other, norm = self._embedding(seen)
        last = next((call for call in seen.after if call.path == self.plan.final_norm), None)
        final_norm, final = None, self.states[-1]
        if last is not None and last.x is not None and last.y is not None:
            final_norm, final = norm_of_call(last), self._array(last.y)
        states, layers = np.stack(self.states), tuple(self.blocks)
        shared = len({*self.weights}) < len(self.weights)
        return Reading(Stack(embedding, positions, other, norm, layers, states, final_norm, final, shared), seen)

    def _read_layer(self, layer: LayerCalls) -> None:
        own = layer.own
        assert own.x is not None
        assert own.y is not None
        if not self.states:
            self.states.append(self._array(own.x))
        calls = {call.key: call for call in layer.parts}
        plans = self.plan.layers[len(self.blocks)]
        found = [self._block(plan, calls) for plan in plans]
        whole = tuple(block for block in found if block is not None)
        self.blocks.append(StackLayer(whole if len(whole) == len(plans) else ()))
        self.states.append(self._array(own.y))
        self.weights.append(frozenset(map(id, own.module.parameters())))
        layer_read(len(self.blocks), len(self.plan.layers))
        if self.on_layer is not None:
            self.on_layer(len(self.blocks) - 1, calls, plans, self.blocks[-1])

    def _block(self, plan: BlockPlan, calls: dict[tuple[str, int], ModuleCall]) -> Block | None:
        adds = calls.get(plan.adds)
        if adds is None or adds.y is None or len(adds.y) != len(plan.tokens or adds.y):
            return None
        added = adds.y if plan.tokens is None else to_stream(adds.y, torch.tensor(plan.tokens), self.watched.tokens)
        sum_norm: Norm | None = None
        if plan.sum_norm is not None:
            sum_norm = norm_in_pass(calls[plan.sum_norm], self.plan.sum_norms[len(self.blocks)][plan.sum_norm])
        neurons = calls[plan.neurons].x if plan.neurons in calls else None
        experts = chosen_experts(calls[plan.experts]) if plan.experts in calls else None
        return Block(
            plan.kind,
            plan.root[0],
            plan.norm,
            self._array(plan.factor * added),
            plan.reads,
            sum_norm,
            self._attention(plan, calls),
            None if neurons is None else self._array(neurons),
            None if experts is None else (self._array(experts[0]), self._array(experts[1])),
        )

    def _array(self, tensor: Tensor) -> Array:
        """The rows of the tokens that are shown."""
        return to_numpy(tensor if self.shown is None else tensor[list(self.shown)])

    def _attention(self, plan: BlockPlan, calls: dict[Key, ModuleCall]) -> tuple[str, int] | None:
        """Kind and number of a block's attention; where it is not recorded, as the model's own maps are counted."""
        found = min(calls[plan.root].attention, default=None) if plan.root in calls else None
        if found is None or found[1] >= 0:
            return found
        if plan.kind == TIME_ATTENTION:  # the library returns no maps of it
            return None
        kind = "cross" if plan.kind == CROSS_ATTENTION else self.stack
        self.attentions[kind] += 1
        return kind, self.attentions[kind] - 1

    def _embedding(self, seen: Pass) -> tuple[Array, Array | None, Array | None, Norm | None]:
        """Tokens, positions, what else is added, and the norm of the sum; what cannot be told apart is the tokens'."""
        plan, first = self.plan.embedding, self.states[0]
        calls = {call.path: call for call in seen.before if call.y is not None}
        if plan.heard and plan.tokens is not None and (one := calls.get(plan.tokens[0])) and one.y is not None:
            calls[one.path] = replace(one, y=heard_rows(one.y))
        if plan.patches is None:
            calls = {path: call for path, call in calls.items() if call.y is not None and len(call.y) == len(first)}
        if plan.tokens is None or plan.tokens[0] not in calls:
            return first, None, None, None
        total, norm = first, None
        if plan.norm is not None:
            call = calls[plan.norm]
            assert call.x is not None
            total, norm = self._array(call.x), norm_of_call(call)
        if plan.patches is not None:
            return *self._patches(total, self._part(calls, *plan.tokens), plan.patches), None, norm
        tokens = self._array(self._part(calls, *plan.tokens))
        others = [self._array(self._part(calls, name, factor)) for name, factor in plan.other if name in calls]
        other = np.sum(others, axis=0) if others else None
        rest = total - tokens - (0 if other is None else other)
        small = np.abs(rest).max() <= 1e-4 * np.abs(total).max()
        return tokens, None if small else rest, other, norm

    @staticmethod
    def _patches(total: Array, patches: Tensor, positions: Tensor) -> tuple[Array, Array | None]:
        """The tokens of a picture, and what is added to them where that is the same as for another picture.

        Args:
            total: their sum, [token, d_model]; patches: of the picture, [patch, d_model]; positions: of the other's.
        """
        count = len(positions)
        added, tokens = total[-count:] - to_numpy(patches[:count]), total.copy()
        if len(total) < count or np.abs(added - to_numpy(positions)).max() > 1e-3 * np.abs(total).max():
            return total, None
        tokens[-count:] -= added
        return tokens, total - tokens

    @staticmethod
    def _part(calls: dict[str, ModuleCall], name: str, factor: float) -> Tensor:
        """What a part of the embedding adds. [token, d_model]"""
        found = calls[name].y
        assert found is not None
        return factor * found
