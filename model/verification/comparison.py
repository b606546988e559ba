"""The comparison of a trace with an independent run of the same model, part by part as that run computes them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from model.arrays.torch_to_numpy import to_numpy
from model.arrays.types import Array
from model.attention.recorded_call import repeat_heads, soft_capped
from model.maps.pooling import group_starts, reduce_groups
from model.memory.cached_layers import without_cache
from model.trace.attention import Attention
from model.trace.check import MAP_SIDE, Check, Part
from model.trace.edits import most_specific
from model.trace.trace import Trace
from model.verification.tolerances import Limits

SCORE_CELLS, SCORE_ROWS = 2**21, 32  # cells above which scores are compared in so many rows only
LOGIT_CHUNK = 128  # tokens whose logits are compared at once
Vectors = tuple[Tensor, Tensor, Tensor]  # query, key and value of one sentence [head, token, head_dim]


class Comparison:
    """Errors of one trace, collected part by part; an independent run calls the methods `add_…` in any order.

    Args:
        trace: what is judged: its own fields, not what they were made from.
        limits: of its number format.
        sinks: True where rows may sum to less than 1.
        answer: what the traced pass answered, where the trace has no logits. [token, ...]
    """

    def __init__(self, trace: Trace, limits: Limits, *, sinks: bool = False, answer: Tensor | None = None) -> None:
        self.limits, self._sinks, self._trace, self._answer = limits, sinks, trace, answer
        self._attentions = {kind: without_cache(one) for kind, one in trace.attentions.items()}
        self._missing = {(kind, layer) for kind, one in self._attentions.items() for layer in range(one.num_layers)}
        self._parts: dict[str, Part] = {}
        self._maps: dict[tuple[str, int], Array] = {}
        self._uncompared: list[str] = []
        self._neurons: set[tuple[str, int]] = set()

    def leave_out(self, name: str) -> None:
        """Note that a part of the trace is compared with nothing."""
        self._uncompared += [name] * (name not in self._uncompared)

    def length(self, stack: str) -> int:
        """The number of tokens of a stack without padding, whose numbers mean nothing."""
        return len(self._trace.ids.get(stack, ())) or len(self._trace.tokens[stack])

    def add(self, name: str, error: float, limit: float, where: str = "") -> None:
        """Note the error of one part; of several errors under one name the worst stays."""
        part, worst = Part(name, float(error), float(limit), where), self._parts.get(name)
        if worst is None or part.severity > worst.severity or (part.severity == worst.severity < part.error):
            self._parts[name] = part

    def add_layer(self, kind: str, layer: int, expected: Tensor, vectors: Vectors | None = None) -> None:
        """Compare one layer: its weights, and where they are given its queries, keys, values and scores.

        Args:
            expected: weights of the independent run for this sentence, [head, query, key].
            vectors: query, key and value of that run; grouped heads may share a key and a value.
        """
        attention, where = self._attentions.get(kind), f"{kind} {layer}"
        if attention is None or layer >= attention.num_layers:
            self.add("layers", 1.0, 0.0, where)  # the trace has no such layer
            return
        rows, columns = (
            self.length("decoder" if kind in ("decoder", "cross") else "encoder"),
            self.length(_key_stack(kind)),
        )
        expected_maps, found = to_numpy(expected)[:, :rows], attention.weights(layer)[:, :rows]
        if expected_maps.shape != found.shape:
            self.add("layers", 1.0, 0.0, where)
            return
        forbidden = ~attention.mask(layer)[:rows]
        limit = self.limits.weight(self._depth(kind, layer))
        for weights, expected_head in zip(found, expected_maps, strict=True):
            excess = weights.sum(-1) - 1
            self.add("weights", abs(weights - expected_head).max(), limit, where)
            self.add("row_sums", abs(excess.clip(0) if self._sinks else excess).max(), limit, where)
            self.add("leaked", (weights * forbidden).max(), 0.0, where)
        self._missing.discard((kind, layer))
        self._maps[kind, layer] = small_maps(expected_maps[..., :columns])
        if vectors is not None and attention.has_vectors:
            self._add_vectors(attention, layer, vectors, where, (rows, columns))
            self._add_scores(attention, layer, expected_maps, vectors, where)

    def _add_vectors(
        self, attention: Attention, layer: int, vectors: Vectors, where: str, lengths: tuple[int, int]
    ) -> None:
        """Compare queries, keys and values, each token's as a share of its length. lengths: real queries and keys"""
        rows, columns = lengths
        parts = (("queries", attention.query, rows), ("keys", attention.key, columns))
        for (name, find, count), expected in zip((*parts, ("values", attention.value, columns)), vectors, strict=True):
            whole = to_numpy(repeat_heads(expected, attention.num_heads))
            error = relative_error(find(layer)[:, :count], whole[:, :count])
            limit = self.limits.vector(self._depth(attention.kind, layer), expected.shape[-1])
            self.add(name, error, limit, where)

    def _add_scores(self, attention: Attention, layer: int, expected: Array, vectors: Vectors, where: str) -> None:
        """Compare the scores: their softmax with the weights, and with q · k of the independent run. expected: weights

        What a mask or a bias adds is taken from the trace: were it wrong, the softmax would be.
        """
        heads, count, keys = expected.shape
        step = 1 if heads * count * keys <= SCORE_CELLS else -(-count // SCORE_ROWS)
        rows = list(range(0, count, step))
        part = attention.select(layer, range(heads), rows)
        scores, allowed = part.scores(), part.array("allowed")
        own = [head for head in range(heads) if not self._is_forced(attention.kind, layer, head)]
        if scores.shape != (heads, len(rows), keys):
            self.add("layers", 1.0, 0.0, where)
        if not own or not len(rows) or not allowed.any():
            return
        query, key, _ = vectors
        products = query[:, rows].float() @ repeat_heads(key, heads).float().transpose(-2, -1) * attention.scale(layer)
        cap = attention.layers[layer].softcap
        bound = to_numpy(torch.linalg.vector_norm(query[:, rows].float(), dim=-1))[..., None] * abs(
            attention.scale(layer)
        )
        bound = bound * to_numpy(torch.linalg.vector_norm(repeat_heads(key, heads).float(), dim=-1))[:, None]
        difference = np.abs(scores - to_numpy(soft_capped(products, cap)) - part.array("bias")) / np.maximum(bound, 1.0)
        seen = allowed[None] & np.isfinite(part.array("bias"))
        self.add(
            "scores",
            np.where(seen, difference, 0.0).max(),
            self.limits.score(self._depth(attention.kind, layer), query.shape[-1]),
            where,
        )
        totals = expected[:, rows].sum(-1, keepdims=True)
        shares = softmax(scores)[own] * (totals[own] if self._sinks else 1.0)
        self.add(
            "scores",
            np.abs(shares - expected[own][:, rows])[:, allowed.any(-1)].max(),
            self.limits.weight(self._depth(attention.kind, layer)),
            where,
        )

    def _is_forced(self, kind: str, layer: int, head: int) -> bool:
        """Whether an edit sets this head's weights, which then do not follow from its scores."""
        edits, layer = self._trace.edits, self._attentions[kind].layer_index[layer]
        uniform = any(k == kind and at in (None, layer) and h in (None, head) for k, at, h in edits.uniform)
        return uniform or most_specific(edits.patched, kind, layer, head) is not None

    def _depth(self, kind: str, layer: int) -> int:
        """How many layers a run has passed before this one: what attends to an encoder has all its roundings, too."""
        before = self._attentions.get("encoder") if kind == "cross" or (kind == "decoder" and layer) else None
        return layer + (before.num_layers if before is not None else 0)

    def add_layer_index(self, kind: str, indices: Sequence[int]) -> None:
        """Compare which layer of the model each layer with attention is. indices: as the independent run counts them"""
        attention = self._attentions.get(kind)
        self.add("layers", float(attention is None or attention.layer_index != tuple(indices)), 0.0, kind)

    def add_states(self, stack: str, states: Sequence[Tensor]) -> None:
        """Compare hidden states, each token's as a share of its length. states: of each depth, [token, d_model]"""
        found = self._trace.hidden_states.get(stack)
        if found is None or len(found) != len(states):
            self.add("states", math.inf, 0.0, stack)
            return
        count = self.length(stack)
        for depth, expected in enumerate(states):
            error = relative_error(found[depth, :count], to_numpy(expected)[:count])
            passed = self._depth(stack, depth - 1) + 1 if depth else 0
            limit = self.limits.vector(passed, expected.shape[-1])
            self.add("states", error, limit, f"{stack} {depth}")

    def add_neurons(self, stack: str, layer: int, neurons: Tensor) -> None:
        """Compare one layer's feed-forward neurons. [token, d_ff]"""
        self._neurons.add((stack, layer))
        found, count = self._trace.neurons.get(stack), self.length(stack)
        error = (
            math.inf
            if found is None or layer >= len(found)
            else relative_error(found[layer, :count], to_numpy(neurons)[:count])
        )
        limit = self.limits.vector(self._depth(stack, layer) + 1, neurons.shape[-1])
        self.add("neurons", error, limit, f"{stack} {layer}")

    def has_neurons(self, stack: str, layers: int) -> bool:
        """Whether all layers of a stack that have neurons were compared."""
        return self._neurons >= {(stack, layer) for layer in range(layers)}

    def add_logits(self, expected: Tensor) -> None:
        """Compare the logits, or what a model without an output head answers. [token, vocab]"""
        own: Any = self._answer if self._trace.logits is None else self._trace.logits
        limit = self.logit_limit(largest_magnitude(expected))
        if own is None or len(own) < len(expected):
            self.add("logits", math.inf, limit)
            return
        for start in range(0, len(expected), LOGIT_CHUNK):  # the differences take as much memory as the logits
            part = to_numpy(expected[start : start + LOGIT_CHUNK])
            chunk = own[start : start + len(part)]
            ours: Array = to_numpy(chunk) if isinstance(chunk, Tensor) else np.asarray(chunk)
            error = np.abs(ours.reshape(part.shape) - part).max() if ours.size == part.size else math.inf
            self.add("logits", error, limit)

    def logit_limit(self, largest: float) -> float:
        """The largest difference of a logit that rounding explains, where the largest logit has this size."""
        depth = max((one.num_layers for one in self._attentions.values()), default=0)
        return self.limits.logit(depth, largest)

    def probe_check(self, how: str, *, independent: bool = True) -> Check:
        """The verdict on a probe, such as a logit lens, without the pass itself. Arguments as for `check`."""
        limit = self.limits.weight(0)
        parts = tuple(self._parts.values())
        left = tuple(self._uncompared)
        return Check(0.0, 0.0, 0.0, 0.0, limit, limit, how, independent=independent, parts=parts, uncompared=left)

    def check(self, how: str, *, independent: bool = True) -> Check:
        """The verdict on all that was added.

        Args:
            how: one line on what the trace was compared with; independent: as in `Check`.

        Raises:
            ValueError: the independent run showed no weights of some layer.
        """
        if self._missing:
            raise ValueError(f"The stock run showed no weights of {sorted(self._missing)}.")
        largest = {name: part.error for name, part in self._parts.items()}
        deepest = max((one.num_layers for one in self._attentions.values()), default=1) - 1
        logits = self._parts.get("logits")
        return Check(
            max_weight_error=largest.get("weights", 0.0),
            max_row_sum_error=largest.get("row_sums", 0.0),
            leaked_mass=largest.get("leaked", 0.0),
            max_logit_error=largest.get("logits", 0.0),
            tolerance=self.limits.weight(deepest),
            logit_tolerance=self.limits.weight(0) if logits is None else logits.limit,
            how=how,
            independent=independent,
            parts=tuple(self._parts.values()),
            maps=self._maps,
            uncompared=tuple(self._uncompared),
        )


def largest_magnitude(numbers: Tensor) -> float:
    """The largest absolute value, without a copy of the numbers."""
    return max(float(numbers.max()), -float(numbers.min()))


def relative_error(found: Array, expected: Array) -> float:
    """Largest difference of two sets of vectors, as a share of the length of each, or of a middling one if longer.

    Args:
        found, expected: [..., vector, dimension]; of other shapes the error is infinite.
    """
    if found.shape != expected.shape:
        return math.inf
    if not found.size:
        return 0.0
    lengths = np.linalg.norm(expected.astype(np.float64), axis=-1)
    lengths = np.maximum(lengths, np.median(lengths))
    differences = np.linalg.norm(found.astype(np.float64) - expected, axis=-1)
    return float(np.max(differences / np.maximum(lengths, np.finfo(np.float32).tiny)))


def small_maps(weights: Array) -> Array:
    """Maps max-pooled to at most `MAP_SIDE` rows and columns. [head, query, key] -> [head, row, column]"""
    for axis in (1, 2):
        if weights.shape[axis] > MAP_SIDE:
            weights = reduce_groups(weights, group_starts(weights.shape[axis], MAP_SIDE), axis)
    return weights


def softmax(scores: Array) -> Array:
    """Softmax over the last axis in float64; rows of -inf alone become 0."""
    high = scores.max(-1, keepdims=True)
    powers = np.exp(scores.astype(np.float64) - np.where(np.isfinite(high), high, 0.0))
    total = powers.sum(-1, keepdims=True)
    return powers / np.where(total > 0, total, 1.0)


def _key_stack(kind: str) -> str:
    """Stack of the tokens that are asked."""
    return "decoder" if kind == "decoder" else "encoder"
