"""Frozen results of one forward pass. NumPy only: whoever holds a trace needs no deep-learning library.

One axis order everywhere: [layer, head, query, key]. Layers and heads count from 0.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from model.edits import Edits
from model.layer import Layer, NoLayer
from model.lazy import shapes
from model.maps import Overview
from model.recorded import Recorded as Recorded
from model.scratch import reuse, reused
from model.tokens import Picture as Picture
from model.tokens import Tokens as Tokens

Array = np.ndarray
_serials = itertools.count(time.time_ns())  # a server that reloads changed code keeps what it had computed
Target = str | Sequence[int] | None  # an output to force, as text or as ids; None is the model's own


@dataclass(frozen=True, eq=False)
class Attention:
    """All heads of all layers of one kind of attention, with the tokens that ask and the tokens that are asked.

    Attributes:
        kind: "encoder", "decoder" or "cross".
        queries, keys: the tokens of the two sides; in cross-attention decoder tokens ask and encoder tokens are asked.
    """

    kind: str
    queries: Tokens
    keys: Tokens
    num_heads: int
    head_dim: int
    layers: tuple[Recorded, ...]

    def __post_init__(self) -> None:
        expected = (self.num_heads, len(self.queries), len(self.keys), self.head_dim)
        for layer, recorded in enumerate(self.layers):
            if recorded.shape != expected:
                raise ValueError(
                    f"{self.kind} layer {layer}: "
                    f"heads, queries, keys, head_dim are {recorded.shape}, expected {expected}"
                )

    @property
    def query_tokens(self) -> tuple[str, ...]:
        return self.queries.texts

    @property
    def key_tokens(self) -> tuple[str, ...]:
        return self.keys.texts

    @property
    def num_layers(self) -> int:
        return len(self.layers)

    @property
    def has_vectors(self) -> bool:
        """False where a model family shows its weights only: then there is no query, key, value and no score."""
        return self.head_dim > 0

    def weights(self, layer: int) -> Array:
        """Attention weights; rows sum to 1. float32 [head, query, key]"""
        return self._layer(layer).weights()

    def drawn(
        self,
        layer: int,
        head: int | None,
        queries: Sequence[int],
        keys: Sequence[int],
        shape: tuple[int, int] | None = None,
    ) -> Array:
        """Weights between some tokens; NaN where the mask forbids.

        Args:
            head: None for all.
            shape: pools neighbours into so many rows and columns, each cell the strongest of its group.

        Returns:
            float32 [row, column], or [head, row, column] for all heads.
        """
        maps = self._layer(layer).drawn(head, queries, keys, shape or (len(queries), len(keys)))
        return maps if head is None else maps[0]

    def row(self, layer: int, query: int) -> Array:
        """What one query looks at; 0 where the mask forbids. float32 [head, key]"""
        return np.nan_to_num(self.drawn(layer, None, [query], range(len(self.keys)))[:, 0], nan=0.0)

    def strongest(
        self, layer: int, head: int, queries: Sequence[int], keys: Sequence[int], count: int
    ) -> tuple[Array, Array, Array]:
        """The largest weights between some tokens: places in `queries` and in `keys`, row by row, and the weights."""
        return self._layer(layer).strongest(head, queries, keys, count)

    def part(self, layer: int, heads: range, queries: Sequence[int]) -> Recorded:
        """Some queries of some heads, as a layer of its own: what is asked of it is worked out for them alone."""
        return self._layer(layer).part(heads, queries)

    def together(self, what: str, *where: int) -> Array:
        """What all layers tell together, by a name of `model.together`; worked out where the layers are."""
        return self.layers[0].together(what, self.layers, *where)

    def overviews(self, side: int) -> list[Overview]:
        """All heads of each layer at a glance, pooled to maps of at most side · side; large layers side by side."""
        threads = self.layers[0].at_once
        if threads == 1:
            with reused():
                return [layer.overview(side) for layer in self.layers]
        with ThreadPoolExecutor(threads, initializer=reuse) as pool:
            return list(pool.map(lambda layer: layer.overview(side), self.layers))

    def scores(self, layer: int, *, masked: bool = True) -> Array:
        """Scaled scores before the softmax; -inf where masked, unless `masked` is False. float32 [head, query, key]"""
        return self._layer(layer).scores(masked)

    def query(self, layer: int) -> Array:
        """float32 [head, query, head_dim]"""
        return self._layer(layer).array("query")

    def key(self, layer: int) -> Array:
        """float32 [head, key, head_dim]"""
        return self._layer(layer).array("key")

    def value(self, layer: int) -> Array:
        """float32 [head, key, head_dim]"""
        return self._layer(layer).array("value")

    def mask(self, layer: int) -> Array:
        """True where a query may look. bool [query, key]"""
        return self._layer(layer).array("allowed")

    def bias(self, layer: int) -> Array:
        """What was added to the scaled scores; 0 in families that add nothing. float32 [head, query, key]"""
        return self._layer(layer).array("bias")

    def scale(self, layer: int) -> float:
        """The factor on Q Kᵀ, usually 1 / √head_dim."""
        return self._layer(layer).scale

    def _layer(self, layer: int) -> Recorded:
        if not 0 <= layer < self.num_layers:
            raise IndexError(f"{self.kind} attention has layers 0 to {self.num_layers - 1}; got {layer}")
        return self.layers[layer]


@dataclass(frozen=True)
class Check:
    """How far a trace is from an independent run of the same model, and how far it may be.

    Attributes:
        max_weight_error, max_logit_error: largest absolute difference to the stock implementation.
        max_row_sum_error: largest |sum of a row of weights - 1|.
        leaked_mass: largest attention weight on a masked position; exactly 0 or the check fails.
        tolerance, logit_tolerance: what the errors of weights and of logits may be in the model's number format.
        how: one line on what the trace was compared with.
    """

    max_weight_error: float
    max_row_sum_error: float
    leaked_mass: float
    max_logit_error: float
    tolerance: float
    logit_tolerance: float
    how: str

    @property
    def ok(self) -> bool:
        """True where every error is finite and within the tolerance, and nothing leaks through the mask."""
        errors = (self.max_weight_error, self.max_row_sum_error)
        fine = all(error <= self.tolerance for error in errors)  # NaN compares False
        return fine and self.max_logit_error <= self.logit_tolerance and self.leaked_mass == 0.0


@dataclass(frozen=True, eq=False)
class Trace:
    """Everything one forward pass computed.

    Attributes:
        text: what the model was given, as typed; the path of a picture.
        attentions: by kind, only those the model has.
        hidden_states: "encoder" | "decoder" -> float32 [layer + 1, token, d_model]; row 0 is the embedding.
        neurons: "encoder" | "decoder" -> float32 [layer, token, d_ff], feed-forward activations after ReLU.
        tokens: "encoder" | "decoder" -> the tokens of that stack; decoder tokens are those fed in.
        ids: the same tokens as numbers of the vocabulary, without padding.
        given: how many of the decoder's tokens were given to it, not written by it or forced as its output.
        predicted: the token the model found likeliest after each decoder token, or None.
        logits: float32 [token, vocab], [1, class] for a picture, or None.
        output: the translation or continuation, what a picture shows, or None.
        notes: (id, detail) of what the reader should know about how the text was read; the sentences are in assets.
        device: where it ran, as PyTorch names it.
        edits: what was changed in this pass.
        check: makes the comparison that `verify` returns.
        find: finds what `multi_head` returns.
        picture: what a vision model saw, or None.
        serial: a number that no other trace has; what is kept of a trace names it so, without holding on to it.
    """

    text: str
    attentions: Mapping[str, Attention]
    hidden_states: Mapping[str, Array]
    neurons: Mapping[str, Array]
    tokens: Mapping[str, Tokens]
    ids: Mapping[str, tuple[int, ...]]
    given: int
    predicted: Sequence[str] | None
    logits: Array | None
    output: str | None
    notes: tuple[tuple[str, str], ...]
    device: str
    edits: Edits
    check: Callable[[], Check]
    find: Callable[[Recorded], Layer | NoLayer]
    picture: Picture | None = None
    serial: int = field(default_factory=_serials.__next__, init=False)

    def __post_init__(self) -> None:
        for stack, shape in shapes(self.hidden_states).items():
            if len(shape) != 3 or shape[1] != len(self.tokens[stack]):
                raise ValueError(
                    f"{stack} hidden states have shape {shape}, "
                    f"expected [layer + 1, {len(self.tokens[stack])}, d_model]"
                )

    @property
    def nbytes(self) -> int:
        """About how much memory it takes. Grows with tokens; with their square only in a mask, a byte a cell."""
        arrays = [*shapes(self.hidden_states).values(), *shapes(self.neurons).values()]
        arrays += [] if self.logits is None else [self.logits.shape]
        recorded: dict[int, int] = {}
        for found in self.attentions.values():
            for layer in found.layers:
                recorded |= layer.memory
        return 4 * sum(map(math.prod, arrays)) + sum(recorded.values())

    def verify(self) -> Check:
        """Compare this trace with the stock implementation, run afresh with the same weights."""
        # Not a cached_property: its one lock for all traces would let every check wait for every other.
        kept: dict[str, Check] = self.__dict__
        if "_check" not in kept:
            kept["_check"] = self.check()
        return kept["_check"]

    def multi_head(self, kind: str, layer: int) -> Layer | NoLayer:
        """The matrices around one layer's attention and what they were given; runs the model once more."""
        return self.find(self.attentions[kind].layers[layer])
