"""The protocol of an opened model: what every model offers, whatever its family (NumPy only)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from model.arrays.types import Array
from model.positions.scheme import PositionScheme
from model.trace.edits import Boxes, Edits
from model.trace.trace import Target, Trace
from model.trace.typed_text import InputChoices

if TYPE_CHECKING:  # naming the types must not import PyTorch
    from model.trace.decoding import Decoding, DecodingResult


class Lens(Protocol):
    """An opened model that is ready to trace.

    Attributes:
        dtype: the number format it computes in, such as "float32".
        takes: "text", "image", "video" or "sound": what `trace` reads, a text, or a picture, clip or sound (its path or
            its bytes).
        device: where it runs, as PyTorch names it.
        max_tokens: the longest input, in tokens.
        is_encoder_decoder: True where it has an encoder and a decoder, whose output can be forced.
        writes: True where it predicts a next token.
        heads: attention kind -> (layers, heads); empty where the family supports no edits.
        layer_index: attention kind -> the layer of the model that each layer with attention is; kinds that are not in
            it have attention in all layers.
        choices: what may be chosen for a typed text, such as a second sentence or languages.
        can_move_positions: True where it supports `Edits.positions`.
    """

    dtype: str
    takes: str
    device: str
    max_tokens: int
    is_encoder_decoder: bool
    writes: bool
    heads: Mapping[str, tuple[int, int]]
    layer_index: Mapping[str, Sequence[int]]
    choices: InputChoices
    can_move_positions: bool

    def trace(self, text: Any, target: Target = None, edits: Edits | None = None) -> Trace:
        """The trace of one forward pass.

        Args:
            text: here and below a `str`, a `model.trace.typed_text.TypedText`, or a picture.
            target: output to force, as text or ids; None lets the model write its own.
        """
        ...

    def trace_batch(
        self, texts: Sequence[Any], targets: Sequence[Target], edits: Edits | None = None
    ) -> tuple[Trace, ...]:
        """The traces of several texts with their targets, computed in one forward pass."""
        ...

    def positions(self, stack: str | None = None) -> PositionScheme:
        """How a stack, "encoder" or "decoder", encodes positions; by default the one that reads the input."""
        ...

    def boxes(self) -> Boxes:
        """Stack -> kinds of the boxes of each layer that an edit can leave out; the first call runs the model once."""
        ...

    def decode(self, text: Any, how: Decoding, edits: Edits | None = None) -> DecodingResult:
        """The continuation or translation that a decoding method writes."""
        ...

    def labels(self, ids: Sequence[int], together: bool = False) -> tuple[str, ...]:
        """The label of each token id, each on its own and told from the others; together: as tokens of one text."""
        ...

    def guess(self, text: Any, position: int, edits: Edits | None = None) -> Array | None:
        """Logits of the token at a position while it is masked; None where the model was not trained for it. [vocab]"""
        ...

    def head_effects(
        self,
        text: Any,
        target: Target = None,
        edits: Edits | None = None,
        progress: Callable[[float], None] = ...,
    ) -> tuple[dict[str, Array], bool]:
        """How much silencing each head changes the output, by kind [layer, head]; True where the output is words.

        Args:
            progress: called with the fraction done, 0 to 1.
        """
        ...

    def logit_lens(self, text: Any, target: Target = None, edits: Edits | None = None) -> tuple[Array, Array] | None:
        """The likeliest tokens after each layer, and their probabilities (logit lens); None where it has none."""
        ...
