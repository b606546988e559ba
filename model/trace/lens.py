"""What every opened model can do, whatever its family."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from model.arrays.types import Array
from model.positions.scheme import PositionScheme
from model.trace.edits import Edits
from model.trace.trace import Target, Trace

if TYPE_CHECKING:  # who only names the type need not wait for PyTorch
    from model.generation.decoding import Decoded, Decoding


class Lens(Protocol):
    """What every opened model can do, whatever its family.

    Attributes:
        dtype: the number format it computes in, such as "float32".
        takes: "text" or "image": what `trace` reads, a text or a picture (its path or its bytes).
        is_pair: True for an encoder-decoder model, whose output can be forced.
        writes: whether it chooses a next token.
        heads: attention kind -> (layers, heads); empty where the family lets nothing be changed.
        can_move_positions: whether the edits of positions work in this model.
    """

    dtype: str
    takes: str
    device: str
    max_tokens: int
    is_pair: bool
    writes: bool
    heads: Mapping[str, tuple[int, int]]
    can_move_positions: bool

    def trace(self, text: Any, target: Target = None, edits: Edits | None = None) -> Trace: ...

    def trace_batch(
        self, texts: Sequence[Any], targets: Sequence[Target], edits: Edits | None = None
    ) -> tuple[Trace, ...]: ...

    def positions(self) -> PositionScheme: ...

    def decode(self, text: Any, how: Decoding, edits: Edits | None = None) -> Decoded: ...

    def labels(self, ids: Sequence[int]) -> tuple[str, ...]: ...

    def guess(self, text: Any, place: int, edits: Edits | None = None) -> Array | None: ...

    def head_effects(
        self,
        text: Any,
        target: Target = None,
        edits: Edits | None = None,
        progress: Callable[[float], None] = ...,
    ) -> tuple[dict[str, Array], bool]: ...

    def layer_words(
        self, text: Any, target: Target = None, edits: Edits | None = None
    ) -> tuple[Array, Array] | None: ...
