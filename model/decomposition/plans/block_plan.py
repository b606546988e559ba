"""Where the numbers of a block are found in each run of its layer."""

from __future__ import annotations

from dataclasses import dataclass

from model.trace.boxes.stack import AFTER, BEFORE, BOTH, NONE

Key = tuple[str, int]  # path of a part and which of its calls


@dataclass(frozen=True)
class BlockPlan:
    """Where the numbers of one block are found in each run of its layer.

    Attributes:
        kind, norm, reads: as in `model.trace.boxes.stack.Block`.
        root: the part that computes it; adds: the part whose output, times `factor`, is added.
        norm_before, norm_after: the norms of its input and of what it adds.
        sum_norm: the norm of the sum; neurons, experts: the parts whose inputs those are.
        projection: the part that projects the concatenated heads (W_O), where nothing but `norm_after` follows it.
        heads: how many heads an attention has.
        tokens: which token of the stream each row of what `adds` puts out is, where it has them in another order.
    """

    kind: str
    root: Key
    adds: Key
    factor: float
    reads: int
    norm_before: Key | None = None
    norm_after: Key | None = None
    sum_norm: Key | None = None
    neurons: Key | None = None
    experts: Key | None = None
    projection: Key | None = None
    heads: int = 0
    tokens: tuple[int, ...] | None = None

    @property
    def norm(self) -> str:
        after = self.norm_after is not None or self.sum_norm is not None
        if self.norm_before is not None:
            return BOTH if after else BEFORE
        return AFTER if after else NONE

    @property
    def paths(self) -> set[str]:
        """The parts of which calls must be seen."""
        keys = [self.root, self.adds, self.norm_before, self.norm_after, self.sum_norm, self.neurons, self.experts]
        return {key[0] for key in (*keys, self.projection) if key is not None}
