"""What a picture of a stack needs of its residual stream: small arrays, whatever the model's size (NumPy only)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from model.arrays.types import Array
from model.trace.boxes.stack import Block, Stack

COLUMNS = 48  # columns that the numbers of a vector are pooled to


@dataclass(frozen=True, eq=False)
class BlockSummary:
    """One box of a layer.

    Attributes:
        kind, norm, reads, attention: as in `model.trace.boxes.stack.Block`; sum_norm: whether its sum is normalized.
        share: length of what it adds, as a share of the length of the stream that it is added to. [token]
        neurons: mean size of groups of neighbouring neurons, or None. [token, up to `COLUMNS`]
        num_neurons: how many there are.
        experts: ids and weights of the experts that each token was sent to, or None.
        length: of the stream after it. [token]
        kept: cosine of the stream after it with the token's embedding. [token]
    """

    kind: str
    norm: str
    reads: int
    sum_norm: bool
    attention: tuple[str, int] | None
    share: Array
    neurons: Array | None
    num_neurons: int
    experts: tuple[Array, Array] | None
    length: Array
    kept: Array


@dataclass(frozen=True, eq=False)
class StackSummary:
    """A stack from the embedding to the last state.

    Attributes:
        explained, error, shares_weights: as in `model.trace.boxes.stack.Stack`.
        embedding, positions: mean of groups of neighbouring numbers. [token, up to `COLUMNS`]; positions may be None.
        embedding_norm, final_norm: whether there is one.
        layers: the boxes of each layer; none where they could not be told apart.
        layer_share: length of what each whole layer changes, as a share of the length of its input. [layer, token]
    """

    explained: bool
    error: float
    embedding: Array
    positions: Array | None
    embedding_norm: bool
    final_norm: bool
    layers: tuple[tuple[BlockSummary, ...], ...]
    layer_share: Array
    shares_weights: bool = False

    @property
    def nbytes(self) -> int:
        """Approximate size in bytes."""
        tokens = len(self.embedding)
        return 4 * tokens * COLUMNS * (2 + sum(map(len, self.layers)))


@dataclass(frozen=True, eq=False)
class StackSummaries:
    """The stacks of a model; None for one that it does not have."""

    encoder: StackSummary | None = None
    decoder: StackSummary | None = None

    @property
    def nbytes(self) -> int:
        """Approximate size in bytes."""
        return sum(stack.nbytes for stack in self.by_name().values())

    def by_name(self) -> dict[str, StackSummary]:
        """The stacks that there are, by name."""
        return {name: stack for name, stack in vars(self).items() if stack is not None}


def summarize(stack: Stack) -> StackSummary:
    """The summary of a stack."""
    word = stack.embedding
    found = [
        _summaries(layer.blocks, state, word) for layer, state in zip(stack.layers, stack.states[:-1], strict=True)
    ]
    changed = np.diff(stack.states, axis=0)
    share = _length(changed) / np.maximum(_length(stack.states[:-1]), 1e-12)
    return StackSummary(
        stack.explained,
        stack.error_of([output for _, output in found]),
        _pooled(word),
        None if stack.positions is None else _pooled(stack.positions),
        stack.embedding_norm is not None,
        stack.final_norm is not None,
        tuple(blocks for blocks, _ in found),
        share.astype(np.float32),
        stack.shares_weights,
    )


def _summaries(blocks: tuple[Block, ...], state: Array, word: Array) -> tuple[tuple[BlockSummary, ...], Array | None]:
    """The boxes of one layer, and the stream after them; None without any.

    Args:
        state: the layer's input; word: the tokens' embeddings. [token, d_model] each
    """
    found, length = [], _length(state)
    for block in blocks:
        before, state = length, block.apply(state)
        length = _length(state)
        found.append(
            BlockSummary(
                block.kind,
                block.norm,
                block.reads,
                block.sum_norm is not None,
                block.attention,
                (_length(block.adds) / np.maximum(before, 1e-12)).astype(np.float32),
                None if block.neurons is None else _pooled(np.abs(block.neurons)),
                0 if block.neurons is None else block.neurons.shape[-1],
                block.experts,
                length.astype(np.float32),
                _cosine(state, word).astype(np.float32),
            )
        )
    return tuple(found), state if blocks else None


def _length(vectors: Array) -> Array:
    """Euclidean lengths. [..., d_model] -> [...]"""
    return np.asarray(np.linalg.norm(vectors, axis=-1))


def _cosine(one: Array, other: Array) -> Array:
    """Cosine of vectors; 0 where their widths differ. [token, d_model] -> [token]"""
    if one.shape != other.shape:
        return np.zeros(len(one))
    return np.asarray((one * other).sum(-1) / np.maximum(_length(one) * _length(other), 1e-12))


def _pooled(vectors: Array) -> Array:
    """Means of groups of neighbouring numbers: a signed number is not pooled by the stronger. [token, column]"""
    width = vectors.shape[-1]
    groups = np.array_split(np.arange(width), min(COLUMNS, width))
    sums = np.add.reduceat(vectors, [group[0] for group in groups], axis=-1)
    return np.asarray(sums / [len(group) for group in groups], np.float32)
