"""The edits of a running pass in the form that the attention function and the positional encoding apply.

Edits are applied inside the one attention function, where positions are handed out, or where a box puts out what it
adds (`model.decomposition.boxes`), so an edit means the same in every model family. A pass without edits runs none of
this code and is bit-equal to the unedited model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from model.errors import InputError
from model.trace.edits import CELL_FIELDS, Edits, Head, is_supported, most_specific

if TYPE_CHECKING:
    from model.trace.lens import Lens
    from model.trace.trace import Trace

# Where "shuffled" moves the tokens of each block of eight: fixed, so that a link always shows the same picture.
SHUFFLE = (3, 6, 0, 5, 1, 7, 4, 2)


@dataclass(frozen=True, eq=False)
class EditPlan:
    """The edits of a pass, with what they need from other passes.

    Attributes:
        edits: applied to every sentence of the batch; layers are counted among those that have attention.
        patterns: (kind, layer, head) -> weights of another sentence, used instead of the head's own. [query, key]
        silenced: for each sentence of the batch one more head to silence; empty for none.
    """

    edits: Edits
    patterns: Mapping[Head, Tensor] = field(default_factory=dict)
    silenced: Sequence[Head] = ()

    def edited_mask(self, kind: str, layer: int, own_mask: Tensor) -> Tensor:
        """The mask after the edits; `own_mask` itself where no edit changes it. [batch or 1, 1, query, key]

        Args:
            own_mask: the model's mask, bool [batch or 1, 1, query, key]; True where a query may look.

        Raises:
            InputError: a query is left without any key.
        """
        queries, keys = own_mask.shape[-2:]
        shape = most_specific(self.edits.masks, kind, layer)
        cells = self.edits.cells(kind, layer)
        if shape is None and not cells:
            return own_mask
        allowed = (own_mask if shape is None else _reshape_mask(own_mask, shape)).clone()
        real = own_mask.any(dim=-2)  # [batch or 1, 1, key]; the other keys are padding
        for query, key, is_allowed in cells:
            if key < keys and (query is None or query < queries):
                rows = slice(None) if query is None else slice(query, query + 1)
                allowed[..., rows, key] = real[..., None, key] & is_allowed
        blind = own_mask.any(-1) & ~allowed.any(-1)  # [batch or 1, 1, query]
        if kind != "cross" and queries == keys:
            blind &= own_mask.any(dim=-2)  # a padding token may be left without any key
        if blind.any():
            position = int(blind.nonzero()[0, -1])
            raise InputError(
                "row_blind",
                f"With these edits token {position} has nothing left to look at in {kind} layer {layer}. "
                f"Let it look at one token at least.",
                token=position,
                kind=kind,
                layer=layer,
            )
        return torch.where(allowed.any(-1, keepdim=True), allowed, own_mask)

    def score_factor(self, kind: str) -> float:
        """What the scores are multiplied by: 1 / temperature."""
        return 1 / self.edits.temperature.get(kind, 1.0)

    def forced_weights(self, kind: str, layer: int, heads: int, allowed: Tensor, keys: int) -> dict[int, Tensor]:
        """Head -> the weights that an edit sets in place of its own. [batch or 1, query, key]

        Args:
            heads, keys: how many there are.
            allowed: the edited mask, bool [batch or 1, 1, query, key].

        Raises:
            InputError: a pattern comes from a sentence of another length.
        """
        mask = allowed[:, 0].float()
        weights: dict[int, Tensor] = {}
        uniform = [h for k, at, h in self.edits.uniform if k == kind and at in (None, layer)]
        for head in range(heads):
            if any(h in (None, head) for h in uniform):
                weights[head] = mask / mask.sum(-1, keepdim=True)
            pattern = most_specific(self.patterns, kind, layer, head)
            if pattern is not None:
                if kind != "decoder" and pattern.shape[1] != keys:
                    raise InputError(
                        "patch_length",
                        f"The other sentence has {pattern.shape[1]} tokens and this one {keys}: a pattern fits only "
                        f"where they are as many.",
                        other=pattern.shape[1],
                        tokens=keys,
                    )
                weights[head] = _fit_pattern(pattern, mask, keys)
        return weights

    def head_factors(self, kind: str, layer: int, heads: int) -> list[list[float]] | None:
        """What each head's output is multiplied by, [sentence or 1, head]; None where all factors are 1."""
        edited = [most_specific(self.edits.heads, kind, layer, head) for head in range(heads)]
        common = [1.0 if factor is None else factor for factor in edited]
        if not any((k, at) == (kind, layer) for k, at, _ in self.silenced):
            return None if all(factor == 1 for factor in common) else [common]
        rows = [list(common) for _ in self.silenced]
        for row, (k, at, head) in zip(rows, self.silenced, strict=True):
            if (k, at) == (kind, layer) and head is not None:
                row[head] = 0.0
        return rows

    def position_order(self, count: int) -> Tensor | None:
        """The position that each of `count` tokens gets, or None where it keeps its own. int64 [token]"""
        if self.edits.positions == "own":
            return None
        if self.edits.positions == "off":
            return torch.zeros(count, dtype=torch.long)
        moved = [position // 8 * 8 + SHUFFLE[position % 8] for position in range(count)]
        # The last block may be shorter than eight: tokens that would leave the text are sorted in among the rest.
        order = sorted(range(count), key=lambda position: (position // 8, moved[position]))
        return torch.tensor(order)


def _reshape_mask(own_mask: Tensor, shape: str) -> Tensor:
    """A mask of the shape that an edit names. own_mask: bool [batch or 1, 1, query, key]

    Args:
        shape: "full", "causal", "window" or "block", the last two followed by a size.
    """
    queries, keys = own_mask.shape[-2:]
    # Keys that no query may look at are padding, and stay forbidden in every shape.
    real = own_mask.any(dim=-2, keepdim=True)
    q = torch.arange(queries, device=own_mask.device)[:, None]
    k = torch.arange(keys, device=own_mask.device)
    name = shape.rstrip("0123456789")
    size = int(shape.removeprefix(name) or 1)
    return {
        "full": real.expand_as(own_mask),
        "causal": real & (k <= q),
        "window": own_mask & ((q - k).abs() <= size),
        "block": own_mask & (q // size == k // size),
    }[name]


def _fit_pattern(pattern: Tensor, mask: Tensor, keys: int) -> Tensor:
    """Another sentence's weights under this one's mask, each row normalized. [batch or 1, query, key]

    Rows beyond the pattern's last repeat that one; rows whose keys are all forbidden become uniform.

    Args:
        pattern: [other query, other key]; mask: float [batch or 1, query, key], 1 where a query may look.
    """
    rows = pattern[torch.arange(mask.shape[-2]).clamp(max=len(pattern) - 1)][:, :keys].to(mask)
    masked = torch.nn.functional.pad(rows, (0, keys - rows.shape[1])) * mask
    total = masked.sum(-1, keepdim=True)
    return torch.where(total > 0, masked / total, mask / mask.sum(-1, keepdim=True))


_plan: ContextVar[EditPlan | None] = ContextVar("plan", default=None)


@contextmanager
def apply_edits(plan: EditPlan | None) -> Iterator[None]:
    """Apply a plan to the passes of this thread while the block runs; None applies no edits."""
    token = _plan.set(plan)
    try:
        yield
    finally:
        _plan.reset(token)


def current_edit_plan() -> EditPlan | None:
    """The plan of the pass that is running in this thread; None without edits."""
    return _plan.get()


def move_positions(encoding: Tensor) -> Tensor:
    """Positional vectors in the order that the edits set; unchanged without edits. [..., token, d]"""
    plan = _plan.get()
    order = None if plan is None else plan.position_order(encoding.shape[-2])
    return encoding if order is None else encoding.index_select(-2, order.to(encoding.device))


def plan_edits(lens: Lens, edits: Edits | None) -> EditPlan | None:
    """The plan of some edits for a model; None where there are none.

    Patterns of other sentences are computed here, by tracing those sentences.

    Raises:
        InputError: the edits name a layer, head or kind that this model does not have, cannot be applied in it, or
            name another sentence that cannot be traced.
    """
    if not edits:
        return None
    if not lens.heads and edits != Edits(blocks=edits.blocks):
        raise InputError(
            "edits_unseen", "This model's family computes attention in a way of its own, so nothing can be changed."
        )
    boxes = lens.boxes() if edits.blocks else {}
    if edits.supported_by(lens.heads, boxes, lens.layer_index) != edits:
        misfits = [
            ".".join("*" if part is None else str(part) for part in where)
            for name, where, _ in edits.items()
            if not is_supported(name, where, lens.heads, boxes, lens.layer_index)
        ]
        raise InputError(
            "edits_unfit",
            f"This model has {lens.heads} (layers, heads); it has nothing to change at {', '.join(misfits)}.",
            places=", ".join(misfits),
        )
    if edits.positions != "own" and not lens.can_move_positions:
        raise InputError("positions_fixed", "The way this model is told its positions cannot be changed.")
    edits = counted(edits, lens.layer_index)
    patterns: dict[Head, Tensor] = {}
    others: dict[tuple[str, str | None], Trace] = {}  # each sentence is traced once
    for (kind, layer, head), (text, target) in edits.patched.items():
        try:
            if (text, target) not in others:
                others[text, target] = lens.trace(text, target)
            other = others[text, target].attentions[kind]
        except InputError as error:
            raise InputError("patch_text", f"The other sentence for a pattern: {error}", detail=str(error)) from error
        for at in range(other.num_layers) if layer is None else [layer]:
            weights = torch.tensor(other.weights(at))
            for h in range(other.num_heads) if head is None else [head]:
                patterns[kind, at, h] = weights[h]
    return EditPlan(edits, patterns)


def counted(edits: Edits, layer_index: Mapping[str, Sequence[int]]) -> Edits:
    """The same edits with layers counted among those that have attention, as a pass counts them.

    Args:
        layer_index: kind -> the layer of the model that each of them is; kinds that are not in it stay.
    """
    moved = {kind: list(index) for kind, index in layer_index.items() if list(index) != list(range(len(index)))}

    def place(name: str, key: Any) -> Any:
        at = 3 if name in CELL_FIELDS else 1
        if name in ("temperature", "blocks") or key[0] not in moved or len(key) <= at or key[at] is None:
            return key
        return (*key[:at], moved[key[0]].index(key[at]), *key[at + 1 :])

    found: dict[str, Any] = {}
    for one in fields(edits) if moved else ():
        value = getattr(edits, one.name)
        if isinstance(value, Mapping):
            found[one.name] = {place(one.name, key): what for key, what in value.items()}
        elif not isinstance(value, str):
            found[one.name] = frozenset(place(one.name, key) for key in value)
    return replace(edits, **found)
