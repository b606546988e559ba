"""How a layer is built, read from one run of it: which of its parts add to the residual stream, and what they read.

Nothing is looked up by a family's name. The output of a layer, and the input of each norm after a sum, is explained as
the layer's input plus the outputs of a few of its parts. A part is an attention where attention ran inside, and a
feed-forward layer where each token's output hangs on that token alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from model.decomposition.norms import is_norm
from model.decomposition.observation import LayerCalls, ModuleCall
from model.decomposition.plans.arrangement import Arrangements, Group, sees_time
from model.decomposition.plans.block_kinds import chosen_experts, is_position_wise
from model.decomposition.plans.block_plan import BlockPlan, Key
from model.decomposition.sums import find_sum, is_close
from model.trace.boxes.stack import (
    ATTENTION,
    EXPERTS,
    FEED_FORWARD,
    NAMED_ATTENTIONS,
    OTHER,
    SPACE_ATTENTION,
    TIME_ATTENTION,
)


def plan_layer(layer: LayerCalls, tolerance: float, frames: Sequence[int] = ()) -> tuple[BlockPlan, ...]:
    """The blocks of a layer in the order in which they are added; empty where they cannot be told apart.

    Args:
        frames: of a video, the frame of each token, -1 for those of none.
    """
    return _LayerReader(layer, tolerance, frames).plan()


@dataclass(eq=False)
class _Step:
    """One addition to the stream: what puts out what is added, and the norm after it."""

    added: Group
    factor: float
    sum_norm: ModuleCall | None = None


class _LayerReader:
    """One layer's run, and what is known of it."""

    def __init__(self, layer: LayerCalls, tolerance: float, frames: Sequence[int]) -> None:
        self.tolerance, self.record, self.own, self.frames = tolerance, layer.record, layer.own, frames
        self.x, self.y = layer.own.x, layer.own.y
        self.parts = [call for call in layer.parts if call.y is not None]
        self.norms = [call for call in self.parts if is_norm(call)]
        self.orders = Arrangements(self.x, self.own, self.parts, self.norms, tolerance)
        self.groups = self.orders.groups

    def _same(self, one: Tensor | None, other: Tensor | None) -> bool:
        return is_close(one, other, self.tolerance)

    def plan(self) -> tuple[BlockPlan, ...]:
        if self.x is None or self.y is None or self.x.shape != self.y.shape:
            return ()
        steps = self._explain(self.y, depth=0)
        if not steps:
            return ()
        states = self._states(steps)
        return tuple(self._block(step, index, states) for index, step in enumerate(steps))

    def _explain(self, target: Tensor, depth: int) -> list[_Step] | None:
        """The steps from the layer's input to a state; None where they are not found."""
        assert self.x is not None
        if self._same(target, self.x):
            return []
        if depth > 2 * len(self.norms) + 2:
            return None
        for norm in self.norms:
            if self._same(norm.y, target) and norm.x is not None:
                steps = self._explain(norm.x, depth + 1)
                if steps and steps[-1].sum_norm is None:
                    steps[-1].sum_norm = norm
                    return steps
        for fitted in (False, True):
            for base in self._bases(target):
                groups = [group for group in self.groups if not self._same(group.y, target)]
                groups = [group for group in groups if not self._same(group.y, base)]
                found = find_sum(target, base, [group.y for group in groups], self.tolerance, fitted)
                before = None if found is None else self._explain(base, depth + 1)
                if found is not None and before is not None:
                    return before + [_Step(groups[i], factor) for i, factor in found]
        return None

    def _bases(self, target: Tensor) -> list[Tensor]:
        """States to which something may have been added: the layer's input, and those after a norm of a sum."""
        assert self.x is not None
        after = [norm.y for norm in self.norms if norm.y is not None and norm.y.shape == self.x.shape]
        return [self.x, *(one for one in after if not self._same(one, target))]

    def _states(self, steps: Sequence[_Step]) -> list[Tensor]:
        """The stream before each step, and after the last."""
        assert self.x is not None
        states = [self.x]
        for step in steps:
            norm = step.sum_norm
            states.append(states[-1] + step.factor * step.added.y if norm is None or norm.y is None else norm.y)
        return states

    def _block(self, step: _Step, index: int, states: Sequence[Tensor]) -> BlockPlan:
        """What one step is: its chain of parts is followed back to the state that it reads."""
        chain, norm_after, norm_before, reads = self._follow(step, states[: index + 1])
        root = chain[-1]
        kind = self._kind(chain)
        added = step.added.calls[0]
        projection, heads = self._projection(chain, added if norm_after is None else norm_after)
        tokens = self.orders.of_output(added)
        return BlockPlan(
            kind,
            root=root.key,
            adds=added.key,
            factor=step.factor,
            reads=index if reads is None else reads,
            norm_before=None if norm_before is None else norm_before.key,
            norm_after=None if norm_after is None else norm_after.key,
            sum_norm=None if step.sum_norm is None else step.sum_norm.key,
            neurons=self._neurons(chain) if kind == FEED_FORWARD and tokens is None else None,
            experts=self._experts(chain),
            projection=projection,
            heads=heads,
            tokens=None if tokens is None else tuple(tokens.tolist()),
        )

    def _follow(
        self, step: _Step, states: Sequence[Tensor]
    ) -> tuple[list[ModuleCall], ModuleCall | None, ModuleCall | None, int | None]:
        """The parts from what is added back to what is read, last first; the norms after and before; the state read."""
        chain: list[ModuleCall] = []
        norm_after: ModuleCall | None = None
        calls = step.added.calls
        for _ in range(12):
            # Of parts with the same output the one that holds the others stands for them.
            call = min(calls, key=lambda one: one.path.count(".") if one.path else 99)
            call = next((one for one in calls if one.attention), call)
            if call in self.norms and norm_after is None and not chain:
                norm_after = call
            else:
                chain.append(call)
            source = call.x
            reads = next((i for i, state in enumerate(states) if self.orders.is_state(call, state)), None)
            if reads is not None:
                return chain or [call], norm_after, None, reads
            norm = next((one for one in self.norms if self._same(one.y, source) or self._reads(call, one.y)), None)
            if norm is not None and call is not norm_after:
                reads = next((i for i, state in enumerate(states) if self.orders.is_state(norm, state)), None)
                if reads is not None:
                    return chain, norm_after, norm, reads
            earlier = [one for one in self.parts if self._puts_out(one, source) and one is not call]
            earlier = [one for one in earlier if not one.path.startswith(call.path + ".")]
            # What goes in comes from no part: it was computed in the part that holds this one.
            calls = earlier or [one for one in self.parts if one.path and one.path == call.path.rpartition(".")[0]]
            if not calls:
                break
        return chain or [step.added.calls[0]], norm_after, None, None

    def _reads(self, call: ModuleCall, normed: Tensor | None) -> bool:
        """Whether a part got a state after its norm, in an order of its own."""
        whole = self.x is not None and normed is not None and normed.shape == self.x.shape
        return whole and normed is not None and self.orders.is_state(call, normed)

    def _puts_out(self, call: ModuleCall, source: Tensor | None) -> bool:
        """Whether a part puts out what another got, which may stand in the order of the stream."""
        return self._same(call.y, source) or self._same(self.orders.in_stream(call), source)

    def _kind(self, chain: Sequence[ModuleCall]) -> str:
        """What the parts of a chain compute together."""
        kinds = {kind for call in chain for kind, _ in call.attention}
        if kinds:
            named = next((kind for name, kind in NAMED_ATTENTIONS.items() if name in kinds), None)
            return named or self._attention_of_a_video(chain)
        if self._experts(chain) is not None:
            return EXPERTS
        return FEED_FORWARD if all(map(is_position_wise, chain)) else OTHER

    def _attention_of_a_video(self, chain: Sequence[ModuleCall]) -> str:
        """Whether an attention that the record does not name compares frames, patches of one frame, or all tokens."""
        inner = [call for call in chain if call.attention]
        time = sees_time(inner[-1], self.orders.of_input(inner[-1]), self.frames)
        return ATTENTION if time is None else TIME_ATTENTION if time else SPACE_ATTENTION

    def _inside(self, chain: Sequence[ModuleCall]) -> list[ModuleCall]:
        """The calls of a chain's parts and of what is in them, in the order in which they ended."""
        paths = [call.path for call in chain]
        return [one for one in self.parts if any(one.path == path or one.path.startswith(path + ".") for path in paths)]

    def _neurons(self, chain: Sequence[ModuleCall]) -> Key | None:
        """The last matrix of a feed-forward layer, whose input its neurons are."""
        last = None
        for call in self._inside(chain):
            weight = getattr(call.module, "weight", None)
            if not isinstance(weight, Tensor) or weight.dim() != 2 or call.x is None or call.y is None:
                continue
            if len(call.x) == len(call.y):
                last = call
        return None if last is None else last.key

    def _projection(self, chain: Sequence[ModuleCall], added: ModuleCall) -> tuple[Key | None, int]:
        """The part whose input is the heads' outputs side by side and whose output is added, and the number of heads.

        Args:
            added: what puts out what is added, or the norm that this goes through.
        """
        recorded = [key for call in chain for key in call.attention if key in self.record.calls]
        if len(recorded) != 1 or self.x is None:
            return None, 0
        call = self.record.call(*recorded[0])
        heads = len(call.query)
        outputs = call.weights_tensor() @ call.all_heads("value").float()
        concatenated = outputs.transpose(0, 1).flatten(1)
        goal = added.x if added in self.norms else added.y
        for part in self.parts:
            # The fused kernel rounds differently from the formula.
            if is_close(part.x, concatenated, 1e-3) and self._same(part.y, goal):
                return part.key, heads
        return None, heads

    def _experts(self, chain: Sequence[ModuleCall]) -> Key | None:
        """The part that gets or returns, for each token, a few whole numbers: which experts it is sent to."""
        return next((call.key for call in self._inside(chain) if chosen_experts(call) is not None), None)
