"""The residual stream at one position as a sum of parts, through norms whose scales stay as they were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from model.arrays.types import Array
from model.trace.boxes.decomposition import Source
from model.trace.boxes.stack import Norm, Stack

SHIFT = "shift"  # biases of norms and projections


@dataclass(eq=False)
class StreamParts:
    """Parts of one state, by where they come from. They sum to the state.

    Attributes:
        stack: whose stream it is.
        vectors: source -> its part, float64 [d_model].
    """

    stack: str
    vectors: dict[Source, Array] = field(default_factory=dict)

    def add(self, kind: str, vector: Array, layer: int | None = None, head: int | None = None) -> None:
        """One more part, or more of a known one."""
        source = Source(kind, layer, head, self.stack)
        self.vectors[source] = self.vectors.get(source, 0) + np.asarray(vector, np.float64)

    @property
    def total(self) -> Array:
        return np.asarray(sum(self.vectors.values()))

    def through(self, norm: Norm | None, state: Array) -> None:
        """Every part as it leaves a norm that the whole state went through.

        Args:
            state: the whole state, [d_model], which sets the scale.
        """
        if norm is None:
            return
        scale = norm.scales(np.asarray(state, np.float64))
        self.vectors = {source: norm.linear(vector, scale) for source, vector in self.vectors.items()}
        self.add(SHIFT, norm.shift)


HeadParts = dict[tuple[int, int], tuple[Array, Array]]  # layer and block -> parts of its heads [head, d], bias [d]


def parts_at(stack: Stack, name: str, position: int, layers: int, blocks: int, heads: HeadParts) -> StreamParts:
    """The state at one position before a block, as parts.

    Args:
        name: "encoder" or "decoder".
        layers: whole layers before it; blocks: blocks of its layer before it.
        heads: attentions that are to be given head by head.
    """
    parts = StreamParts(name)
    parts.add("token", stack.embedding[position])
    for kind, array in (("positions", stack.positions), ("other", stack.other)):
        if array is not None:
            parts.add(kind, array[position])
    parts.through(stack.embedding_norm, parts.total)
    for layer in range(min(layers + (blocks > 0), len(stack.layers))):
        found = stack.layers[layer].blocks[: None if layer < layers else blocks]
        if not stack.layers[layer].blocks:  # boxes that could not be told apart
            parts.add("stream", stack.states[layer + 1][position] - stack.states[layer][position], layer)
        for index, block in enumerate(found):
            _add_block(parts, block.kind, block.adds[position], layer, heads.get((layer, index)))
            parts.through(block.sum_norm, parts.total)
    return parts


def _add_block(parts: StreamParts, kind: str, adds: Array, layer: int, heads: tuple[Array, Array] | None) -> None:
    """What one block adds, head by head where that is known."""
    if heads is None:
        parts.add(kind, adds, layer)
        return
    for head, vector in enumerate(heads[0]):
        parts.add(kind, vector, layer, head)
    parts.add(SHIFT, heads[1])


def ordered(parts: StreamParts) -> tuple[Sequence[Source], Array]:
    """The sources, and their parts as one array. [source, d_model]"""
    return tuple(parts.vectors), np.stack(list(parts.vectors.values()))
