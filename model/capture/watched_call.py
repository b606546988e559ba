"""One attention call of a watched pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from model.arrays.torch_to_numpy import to_numpy
from model.attention.record import BatchCall, Record
from model.maps.given_weights import WeightsOnlyLayer
from model.trace.recorded_layer import RecordedLayer


@dataclass(frozen=True, eq=False)
class WatchedCall:
    """One attention call of a watched pass, for the whole batch.

    Attributes:
        path: of the module that called, such as "encoder.layers.0.self_attn"; "" is the watched module itself.
        kind: "encoder" (every token may look at later ones), "decoder" (none may) or "cross".
        forward_pass: how often the watched module had been called before.
        function: what was called: "scaled_dot_product_attention", "multi_head_attention_forward", "softmax" or
            "keras".
        module_type: the class of the calling module.
        dropout: the share of weights that the pass dropped; the weights shown are those before that.
        extra_keys: names of keys at the end that are no tokens.
        recorded: what it computed with: one for the batch, or one for each item where items differ in length; of a
            softmax that the model wrote out its weights, [batch, head, query, key].
    """

    path: str
    kind: str
    forward_pass: int
    function: str
    module_type: str
    dropout: float
    extra_keys: tuple[str, ...]
    recorded: Sequence[BatchCall] | Tensor

    def __repr__(self) -> str:
        heads, queries, keys, _ = self.layer().shape
        where = self.path or self.module_type
        sizes = f"batch {self.batch_size}, {heads} heads, {queries} queries, {keys} keys"
        return f"WatchedCall({where}: {self.kind}, {sizes}, {self.function})"

    @property
    def has_vectors(self) -> bool:
        """Whether query, key, value and scores are known, not weights alone."""
        return not isinstance(self.recorded, Tensor)

    @property
    def batch_size(self) -> int:
        """How many items the call's batch had."""
        if isinstance(self.recorded, Tensor) or len(self.recorded) > 1:
            return len(self.recorded)
        return len(self.recorded[0].query)

    def layer(self, item: int = 0) -> RecordedLayer:
        """The call for one item of its batch.

        Raises:
            IndexError: there is no such item.
        """
        if not 0 <= item < self.batch_size:
            raise IndexError(
                f"{self.path or self.module_type} has a batch of {self.batch_size}, items 0 to {self.batch_size - 1}; "
                f"got item {item}."
            )
        if isinstance(self.recorded, Tensor):
            return WeightsOnlyLayer(to_numpy(self.recorded[item]))
        if len(self.recorded) > 1:
            return self._records[item].call(self.kind, 0)
        return self._records[0].call(self.kind, 0, item)

    @cached_property
    def _records(self) -> list[Record]:
        """A record of each part, which keeps its mask for all items."""
        assert not isinstance(self.recorded, Tensor)
        return [Record(calls={(self.kind, 0): part}) for part in self.recorded]
