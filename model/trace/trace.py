"""Everything that one forward pass computed (NumPy only).

One axis order everywhere: [layer, head, query, key]. Layers and heads count from 0.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from model.arrays.lazy import DeferredMapping, LazyRows, array_shapes
from model.arrays.types import Array
from model.errors import InputError
from model.trace.attention import Attention
from model.trace.boxes.decomposition import Credit, Split
from model.trace.boxes.stack import Stack
from model.trace.boxes.stack_summary import StackSummaries, StackSummary
from model.trace.check import Check, Probe
from model.trace.edits import Edits
from model.trace.layer_inputs import MultiHeadLayer, NotMultiHead
from model.trace.recorded_layer import RecordedLayer
from model.trace.tokens import Picture, Sound, Tokens

_serials = itertools.count(time.time_ns())  # unique also where a server reloads changed code and keeps its cache

Target = str | Sequence[int] | None  # an output to force, as text or as ids; None is the model's own


@dataclass(frozen=True, eq=False)
class Trace:
    """Everything one forward pass computed.

    Attributes:
        text: the input as typed, or the path of a picture or sound.
        attentions: by kind, only those the model has.
        hidden_states: "encoder" | "decoder" -> float32 [layer + 1, token, d_model]; row 0 is the embedding.
        neurons: "encoder" | "decoder" -> float32 [layer, token, d_ff]: what goes into the feed-forward layers' last
            projection (after ReLU; of gated layers the product). Stacks without a feed-forward layer are not in it.
        tokens: "encoder" | "decoder" -> the tokens of that stack; decoder tokens are those fed in.
        ids: the same tokens as numbers of the vocabulary, without padding.
        prompt_length: number of decoder tokens before the output, which is generated or forced; 0 without a decoder.
        predicted: label of the likeliest next token after each decoder token, or None.
        logits: float32 [token, vocab], [1, class] for a picture, or None.
        output: the translation, the continuation, the label of a picture, or None.
        notes: (id, detail) of remarks on how the text was tokenized; their sentences are in `assets/i18n`.
        device: where it ran, as PyTorch names it.
        edits: the changes made to this pass.
        run_check: computes what `verify` returns, of the trace that it is given; with a probe what `verify_probe` does.
        find_layer: computes what `multi_head` returns.
        take_apart: computes what `blocks`, `credit` and `why` return; None where the model cannot.
        picture: the preprocessed picture of a vision model, or None; sound: what a model of speech hears, or None.
        classes: what a classifier answers: labels and probabilities, likeliest first, of a classifier of tokens one a
            token; the answer of a question answerer; None for other models.
        serial: a number that no other trace has; caches use it as a key, so that they hold no reference to the trace.
    """

    text: str
    attentions: Mapping[str, Attention]
    hidden_states: Mapping[str, Array]
    neurons: Mapping[str, Array]
    tokens: Mapping[str, Tokens]
    ids: Mapping[str, tuple[int, ...]]
    prompt_length: int
    predicted: Sequence[str] | None
    logits: Array | None
    output: str | None
    notes: tuple[tuple[str, str], ...]
    device: str
    edits: Edits
    run_check: Callable[..., Check]
    find_layer: Callable[[RecordedLayer], MultiHeadLayer | NotMultiHead]
    take_apart: Callable[..., Any] | None = None
    picture: Picture | None = None
    sound: Sound | None = None
    classes: list[tuple[str, float]] | None = None
    serial: int = field(default_factory=_serials.__next__, init=False)

    def __post_init__(self) -> None:
        if self.take_apart is not None and (isinstance(self.neurons, DeferredMapping) or not self.neurons):
            keep = self.neurons.keep if isinstance(self.neurons, DeferredMapping) else True
            deferred = DeferredMapping(tuple(self.hidden_states), partial(_neurons, self.take_apart), keep)
            object.__setattr__(self, "neurons", deferred)
        for stack, shape in array_shapes(self.hidden_states).items():
            if len(shape) != 3 or shape[1] != len(self.tokens[stack]):
                raise ValueError(
                    f"{stack} hidden states have shape {shape}, "
                    f"expected [layer + 1, {len(self.tokens[stack])}, d_model]"
                )

    def __repr__(self) -> str:
        sizes = ", ".join(f"{stack} {len(tokens)} tokens" for stack, tokens in self.tokens.items())
        return f"Trace({self.text[:40]!r}: {sizes}; {', '.join(self.attentions)}; {self.device})"

    @property
    def of_text(self) -> bool:
        """Whether the model read a text, and neither a picture nor a sound."""
        return self.picture is None and self.sound is None

    def shown(self, stack: str) -> int:
        """How many tokens of a stack are shown one by one: all, without the silence behind a sound."""
        return len(self.tokens[stack]) if self.sound is None or stack != "encoder" else len(self.sound.loudness)

    @property
    def nbytes(self) -> int:
        """Approximate size in bytes: linear in the tokens, but for masks of one byte a cell."""
        arrays = [*array_shapes(self.hidden_states).values(), *array_shapes(self.neurons).values()]
        if self.logits is not None and not (isinstance(self.logits, LazyRows) and not self.logits.keep):
            arrays.append(self.logits.shape)
        recorded: dict[int, int] = {}
        for attention in self.attentions.values():
            for layer in attention.layers:
                recorded |= layer.bytes_by_address
        return 4 * sum(map(math.prod, arrays)) + sum(recorded.values())

    def verify(self) -> Check:
        """Errors against the stock implementation, which runs once more with the same weights; cached."""
        # Not a cached_property: before Python 3.12 its one lock for all traces makes every check wait for the others.
        cache: dict[str, Check] = self.__dict__
        if "_check" not in cache:
            cache["_check"] = self.run_check(self)
        return cache["_check"]

    @property
    def is_verified(self) -> bool:
        """Whether `verify` has its answer."""
        return "_check" in self.__dict__

    def verify_probe(self, probe: Probe) -> Check:
        """The verdict on a logit lens or on effects of silencing, some of whose parts are run once more."""
        return self.run_check(self, probe)

    def multi_head(self, kind: str, layer: int) -> MultiHeadLayer | NotMultiHead:
        """The inputs and projection matrices of one attention layer, or why it is no plain multi-head layer.

        Runs the model once more.
        """
        return self.find_layer(self.attentions[kind].layers[layer])

    def blocks(self, stack: str) -> Stack:
        """The residual stream of a stack from the embedding to the last state, box by box.

        Runs the model once more. How the model is built is found by measuring, not by its name.

        Args:
            stack: "encoder" or "decoder".

        Raises:
            InputError: the model's layers cannot be watched.
        """
        return self.taken_apart("blocks", stack)

    def block_summaries(self) -> dict[str, StackSummary]:
        """What a picture of the model needs of the blocks of each stack, from one more pass: small arrays.

        Raises:
            InputError: the model's layers cannot be watched.
        """
        found: StackSummaries = self.taken_apart("summaries")
        return found.by_name()

    def credit(self, position: int, token: int, against: int | None = None) -> Credit:
        """Which heads and feed-forward layers push the score of a token up or down (direct logit attribution).

        Args:
            position: after which token the score stands; token: its id.
            against: the id of a second token, whose score is taken off.

        Raises:
            InputError: the model's scores are not a linear map of its last state, or its layers cannot be watched.
        """
        return self.taken_apart("credit", position, token, against)

    def why(self, kind: str, layer: int, head: int, query: int, key: int) -> Split:
        """Where one attention score comes from: q · k split into what the two tokens' streams are made of.

        Args:
            kind: "encoder", "decoder" or "cross"; layer: among those that have attention.
            query, key: positions.

        Raises:
            InputError: the model's layers cannot be watched.
        """
        return self.taken_apart("why", kind, layer, head, query, key)

    def taken_apart(self, *arguments: Any) -> Any:
        """What `take_apart` returns, for one of the methods above and its arguments.

        Raises:
            InputError: the model's layers cannot be watched.
        """
        if self.take_apart is None:
            raise InputError("no_blocks", "The layers of this model cannot be watched one by one.")
        return self.take_apart(*arguments)


def _neurons(take_apart: Callable[..., Any], stack: str) -> Array | None:
    """The feed-forward neurons of a stack, or None where it has none. [layer, token, d_ff]"""
    try:
        found: Array = take_apart("neurons", stack)
    except InputError:
        return None
    return found
