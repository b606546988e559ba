"""The residual stream of one stack, box by box: what each block adds, and whether the boxes add up (NumPy only)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from model.arrays.types import Array

ATTENTION, CROSS_ATTENTION = "attention", "cross_attention"
TIME_ATTENTION, SPACE_ATTENTION = "time_attention", "space_attention"  # of a video, one after the other
FEED_FORWARD, EXPERTS, OTHER = "feed_forward", "experts", "other"
NAMED_ATTENTIONS = {"cross": CROSS_ATTENTION, "time": TIME_ATTENTION, "space": SPACE_ATTENTION}  # by attention kind
ATTENTIONS = (ATTENTION, CROSS_ATTENTION, TIME_ATTENTION, SPACE_ATTENTION)
BLOCK_KINDS = (*ATTENTIONS, FEED_FORWARD, EXPERTS, OTHER)
BEFORE, AFTER, BOTH, NONE = "before", "after", "both", "none"  # where the norm of a block stands
# What can be left out of a block's norm: all of it, so that states pass unchanged, or its gain and shift alone. Of a
# block with two norms the second's have names of their own.
NORM_PARTS = ("norm", "gain", "norm_after", "gain_after")
# The norms at a stack's ends have a name of their own: that of the embedding belongs to the first layer, that of the
# last state to the last.
EMBEDDING, FINAL = "embedding", "final"
END_PARTS = tuple(f"{end}_{part}" for end in (EMBEDDING, FINAL) for part in ("norm", "gain"))
PART_KINDS = (*BLOCK_KINDS, *(f"{kind}_{part}" for kind in BLOCK_KINDS for part in NORM_PARTS), *END_PARTS)


@dataclass(frozen=True, eq=False)
class Norm:
    """A normalization layer as the numbers it computes with: gain · (x - mean) / rms + shift.

    Attributes:
        gain, shift: [d_model].
        centred: True where it takes off the mean (layer norm), False where it does not (root mean square norm).
        epsilon: added to the mean square.
        scaled: False where it was left out, so that states pass through unchanged.
    """

    gain: Array
    shift: Array
    centred: bool
    epsilon: float
    scaled: bool = True

    def __call__(self, states: Array) -> Array:
        """The normalized states. [..., d_model] -> float32 [..., d_model]"""
        return np.asarray(self.linear(states, self.scales(states)) + self.shift, np.float32)

    def scales(self, states: Array) -> Array:
        """What each state is multiplied by: one over its root mean square. [..., d_model] -> float64 [..., 1]"""
        centred = self._centre(states)
        if not self.scaled:
            return np.ones((*centred.shape[:-1], 1))
        return np.asarray(1 / np.sqrt((centred**2).mean(-1, keepdims=True) + self.epsilon))

    def linear(self, parts: Array, scales: Array) -> Array:
        """What becomes of parts of a state while its scale stays as it was, without the shift.

        Args:
            parts: [..., d_model]; scales: of the whole states, broadcastable to [..., 1].
        """
        return np.asarray(self._centre(parts) * scales * self.gain)

    def _centre(self, states: Array) -> Array:
        states = np.asarray(states, np.float64)
        return states - states.mean(-1, keepdims=True) if self.centred else states


@dataclass(frozen=True, eq=False)
class Block:
    """One box of a layer: a sublayer that reads the residual stream and adds to it.

    Attributes:
        kind: of `BLOCK_KINDS`; "other" is a convolution or a state-space layer.
        name: the module that computes it, as its path within the layer.
        norm: where its norm stands: "before" its input, "after" it (of what it adds, or of the sum), "both" or "none".
        adds: what it adds to the stream. [token, d_model]
        reads: which state it reads: 0 is the layer's input, 1 that after the first block; of parallel blocks the same.
        sum_norm: the norm of the sum of stream and `adds` (post-norm, as in Vaswani et al. 2017), or None.
        attention: kind and number of its attention layer in `Trace.attentions`, or None.
        neurons: what goes into its last projection, of gated layers the product; of feed-forward layers. [token, d_ff]
        experts: ids of the experts that each token was sent to, and their weights; [token, chosen] each, or None.
    """

    kind: str
    name: str
    norm: str
    adds: Array
    reads: int
    sum_norm: Norm | None = None
    attention: tuple[str, int] | None = None
    neurons: Array | None = None
    experts: tuple[Array, Array] | None = None

    def __repr__(self) -> str:
        return f"Block({self.kind}: {self.name}, norm {self.norm}, adds {list(self.adds.shape)})"

    def apply(self, state: Array) -> Array:
        """The stream after this block. [token, d_model] -> [token, d_model]"""
        total = state + self.adds
        return total if self.sum_norm is None else self.sum_norm(total)


@dataclass(frozen=True, eq=False)
class StackLayer:
    """The blocks of one layer, in the order of computing; none where they could not be told apart."""

    blocks: tuple[Block, ...]

    def __iter__(self) -> Iterator[Block]:
        return iter(self.blocks)

    def __len__(self) -> int:
        return len(self.blocks)

    def apply(self, state: Array) -> Array:
        """The layer's output, recomputed from its input and its boxes. [token, d_model] -> [token, d_model]"""
        for block in self.blocks:
            state = block.apply(state)
        return state


@dataclass(frozen=True, eq=False)
class Stack:
    """The residual stream of one stack from the embedding to the last state.

    Attributes:
        embedding: the tokens' vectors as they enter the stream. [token, d_model]
        positions: what is added to them for their positions, or None where nothing is added. [token, d_model]
        other: what else is added to them, such as token types, or None. [token, d_model]
        embedding_norm: the norm of that sum, or None.
        layers: the boxes of each layer.
        states: the model's own states: the input of each layer, and the output of the last. [layer + 1, token, d_model]
        final_norm: the norm after the last layer, or None.
        final: the model's own last state, after that norm. [token, d_model]
        shares_weights: whether layers have their weights in common, as those of ALBERT.
    """

    embedding: Array
    positions: Array | None
    other: Array | None
    embedding_norm: Norm | None
    layers: tuple[StackLayer, ...]
    states: Array
    final_norm: Norm | None
    final: Array
    shares_weights: bool = False

    def __repr__(self) -> str:
        tokens, width = self.final.shape
        return f"Stack({len(self.layers)} layers, {tokens} tokens, d_model {width}, error {self.error:.1e})"

    @property
    def nbytes(self) -> int:
        """Size of its arrays in bytes."""
        blocks = [block for layer in self.layers for block in layer]
        arrays = [self.embedding, self.positions, self.other, self.states, self.final]
        arrays += [array for block in blocks for array in (block.adds, block.neurons)]
        return sum(array.nbytes for array in arrays if array is not None)

    @property
    def explained(self) -> bool:
        """Whether the boxes of every layer could be told apart."""
        return all(layer.blocks for layer in self.layers)

    @cached_property
    def error(self) -> float:
        """Largest difference between recomputed and real states, as a share of the token's largest number.

        Each layer is recomputed from its real input, the embedding from its parts, the last state from the one before
        its norm. Layers whose boxes could not be told apart are left out.
        """
        layers = zip(self.layers, self.states[:-1], strict=True)
        return self.error_of([layer.apply(state) if len(layer) else None for layer, state in layers])

    def error_of(self, outputs: Sequence[Array | None]) -> float:
        """As `error`, of the recomputed outputs of all layers; None where a layer has none. [token, d_model] each"""
        total = sum((part for part in (self.positions, self.other) if part is not None), self.embedding)
        pairs = [(total if self.embedding_norm is None else self.embedding_norm(total), self.states[0])]
        pairs += [(found, real) for found, real in zip(outputs, self.states[1:], strict=True) if found is not None]
        last = self.states[-1]
        pairs.append((last if self.final_norm is None else self.final_norm(last), self.final))
        return max(relative_error(found, real) for found, real in pairs)


def part_of(kind: str) -> tuple[str, str]:
    """The kind of block that one of `PART_KINDS` belongs to, and which of `NORM_PARTS` it is, "" for the block."""
    part = next((part for part in sorted(NORM_PARTS, key=len, reverse=True) if kind.endswith(f"_{part}")), "")
    return kind.removesuffix(f"_{part}") if part else kind, part


def relative_error(found: Array, real: Array) -> float:
    """Largest difference of two arrays of states, as a share of the largest number of the token. [token, d_model]"""
    size = np.abs(real).max(-1, keepdims=True)
    return float((np.abs(found - real) / np.maximum(size, 1e-30)).max())


def all_neurons(layers: Sequence[StackLayer]) -> Array | None:
    """The neurons of all feed-forward layers, or None where they have none, or not equally many.

    Returns:
        float32 [layer, token, d_ff], of the layers that have a feed-forward layer.
    """
    found = [block.neurons for layer in layers for block in layer if block.neurons is not None]
    return np.stack(found) if found and len({one.shape for one in found}) == 1 else None
