"""Frozen results of one forward pass. NumPy only: whoever holds a trace needs no deep-learning library.

One axis order everywhere: [layer, head, query, key]. Layers and heads count from 0.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from model.arrays.lazy import shapes
from model.arrays.types import Array
from model.trace.attention import Attention
from model.trace.check import Check
from model.trace.edits import Edits
from model.trace.layer_inputs import Layer, NoLayer
from model.trace.recorded_layer import RecordedLayer
from model.trace.tokens import Picture, Tokens

_serials = itertools.count(time.time_ns())  # a server that reloads changed code keeps what it had computed


Target = str | Sequence[int] | None  # an output to force, as text or as ids; None is the model's own


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
    find: Callable[[RecordedLayer], Layer | NoLayer]
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
