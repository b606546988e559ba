"""Parts that see the stream's tokens in another order: each row of their states is a token, found by its numbers.

A video model that looks over time hands its attention the tokens of one place after those of another, and across a
frame those of one frame after those of another, with a copy of the token for the whole clip in each. A model that looks
within windows hands its attention the patches of one window after those of another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from model.decomposition.observation import ModuleCall, first_tensor
from model.decomposition.sums import is_close

SKETCH = 64  # columns by which rows are looked for

Shape = tuple[int, ...]  # of a tensor, without its last axis


def shape_of(values: object) -> Shape:
    """Shape of the first tensor among arguments or outputs, without its last axis."""
    found = first_tensor(values if isinstance(values, tuple) else (values,))
    return () if found is None else tuple(found.shape[:-1])


def input_shape(call: ModuleCall) -> Shape:
    """As `shape_of`, of what a module was called with."""
    return shape_of((*call.arguments[0], *call.arguments[1].values()))


def find_rows(rows: Tensor, states: Tensor, tolerance: float) -> Tensor | None:
    """Which token of the stream each row is; None where some are none.

    Equal tokens are taken in turn, but a single token may be many rows.

    Args:
        rows: [row, d_model]; states: of the stream. [token, d_model]
    """
    if rows.shape[1:] != states.shape[1:] or not len(rows):
        return None
    columns = torch.arange(min(SKETCH, rows.shape[1]), device=rows.device) * 7919 % rows.shape[1]  # a prime
    exact = "donot_use_mm_for_euclid_dist"
    found = torch.cdist(rows[:, columns], states[:, columns], compute_mode=exact).argmin(1)  # of equal tokens the first
    first = torch.cdist(states[:, columns], states[:, columns], compute_mode=exact).argmin(1)
    for token in first[first != torch.arange(len(first), device=first.device)].unique().tolist():
        same, at = (first == token).nonzero()[:, 0], (found == token).nonzero()[:, 0]
        if len(at) % len(same):
            return None
        found[at] = same.repeat(len(at) // len(same))
    return found if is_close(rows, states[found], tolerance) else None


def is_stream(tokens: Tensor, count: int) -> bool:
    """Whether rows stand in the order of the stream itself. tokens: as in `to_stream`"""
    return len(tokens) == count and bool((tokens == torch.arange(count, device=tokens.device)).all())


def to_stream(rows: Tensor, tokens: Tensor, count: int) -> Tensor:
    """Rows in the order of the stream: the mean of a token's copies, zero for tokens without a row. [token, d]

    Args:
        rows: [row, d]; tokens: which token each row is, int64 [row]; count: how many tokens the stream has.
    """
    copies = torch.bincount(tokens, minlength=count).clamp(min=1)
    total = torch.zeros(count, rows.shape[1], device=rows.device).index_add_(0, tokens, rows)
    return total / copies[:, None]


def sees_time(call: ModuleCall, tokens: Tensor | None, frames: Sequence[int]) -> bool | None:
    """Whether a part compares tokens of several frames, False for those of one frame; None where neither holds.

    Args:
        tokens: which token each row of its input is; frames: the frame of each token, -1 for those of none.
    """
    shape = input_shape(call)
    if tokens is None or not frames or len(shape) != 2:
        return None
    first = {frames[token] for token in tokens.view(shape)[0].tolist()} - {-1}
    return None if not first else len(first) > 1


@dataclass(frozen=True, eq=False)
class Group:
    """Calls whose outputs are the same, those that end first, first, and that output in the order of the stream."""

    calls: list[ModuleCall]
    y: Tensor


class Arrangements:
    """The orders in which the parts of a layer have its tokens, by the shapes of their states.

    Attributes:
        groups: the calls that put out a state of the stream, by what they put out.
    """

    def __init__(
        self,
        x: Tensor | None,
        own: ModuleCall,
        parts: Sequence[ModuleCall],
        norms: Sequence[ModuleCall],
        tolerance: float,
    ) -> None:
        """x: the layer's input, [token, d]; own: its call; parts: the calls of its parts, of which some are norms."""
        self.x, self.stream, self.tolerance = x, input_shape(own), tolerance
        self.parts, self.norms = parts, norms
        self.tokens: dict[Shape, Tensor] = {}  # shape of states -> which token of the stream each row is
        self.groups = self._grouped()
        while self._find_another():
            self.groups = self._grouped()

    def of_input(self, call: ModuleCall) -> Tensor | None:
        """Which token each row is that a call got; None where they stand as in the stream."""
        return self.tokens.get(input_shape(call))

    def of_output(self, call: ModuleCall) -> Tensor | None:
        """As `of_input`, of what it put out."""
        return self.tokens.get(shape_of(call.outputs))

    def is_state(self, call: ModuleCall, state: Tensor) -> bool:
        """Whether a call got a state of the stream, in whatever order. state: [token, d]"""
        tokens = self.of_input(call)
        return is_close(call.x, state if tokens is None else state[tokens], self.tolerance)

    def _grouped(self) -> list[Group]:
        groups: list[Group] = []
        for call in self.parts:
            y = self.in_stream(call)
            if y is not None and bool(y.any()):
                known = next((group for group in groups if is_close(group.y, y, self.tolerance)), None)
                if known is None:
                    groups.append(Group([call], y))
                else:
                    known.calls.append(call)
        return groups

    def in_stream(self, call: ModuleCall) -> Tensor | None:
        """What a call put out, in the order of the stream; None where it is no state."""
        tokens = self.of_output(call)
        if self.x is None or call.y is None or call.y.shape[1] != self.x.shape[1]:
            return None
        if tokens is not None and len(tokens) == len(call.y):
            return to_stream(call.y, tokens, len(self.x))
        return call.y if call.y.shape == self.x.shape else None

    def _rows_of_both(self, call: ModuleCall, state: Tensor) -> Tensor | None:
        """Which token each row of an attention is, if it reads a state and its output goes on in the stream's order.

        By both together: patches of one colour are equal when they go in, and differ when they come out.
        """
        if call.x is None or call.y is None or call.x.shape != state.shape or call.y.shape != state.shape:
            return None
        if find_rows(call.x, state, self.tolerance) is None:
            return None
        goes_on = [group.y for group in self.groups] + [one.x for one in self.norms if one.x is not None]
        rows = torch.cat([call.x, call.y], dim=-1)
        found = (
            find_rows(rows, torch.cat([state, one], dim=-1), self.tolerance)
            for one in goes_on
            if one.shape == state.shape and one is not call.y
        )
        return next((one for one in found if one is not None), None)

    def _find_another(self) -> bool:
        """Whether one more order was found: that in which a part reads a state, or what another put out."""
        if self.x is None:
            return False
        states = [self.x, *(self.x + group.y for group in self.groups)]
        read = [*states, *(one.y for one in self.norms if one.y is not None and one.y.shape == self.x.shape)]
        for call in self.parts:
            shape, tokens = input_shape(call), None
            if shape == self.stream or shape in self.tokens or call.x is None:
                continue
            if call not in self.norms and self.tokens:
                before = (self.of_output(one) for one in self.parts if is_close(one.y, call.x, self.tolerance))
                tokens = next((one for one in before if one is not None), None)
            if tokens is None and (call in self.norms or call.attention):
                both = (
                    (find_rows(call.x, one, self.tolerance) for one in states)
                    if call in self.norms
                    else (self._rows_of_both(call, one) for one in read)
                )
                tokens = next((one for one in both if one is not None and not is_stream(one, len(self.x))), None)
            if tokens is not None:
                self.tokens[shape] = tokens
                return True
        return False
