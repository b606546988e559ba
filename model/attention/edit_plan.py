"""Edits at work: what `model.attention.record` asks, for each call of a pass, about the changes that were wished for.

Everything is applied inside the one attention function, or where positions are handed out, so an edit means the same
in every model family. Without edits nothing here is reached, and a pass is bit-equal to one that never heard of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from model.errors import InputError
from model.trace.edits import Edits, Head, fits, named

if TYPE_CHECKING:
    from model.trace.lens import Lens

# How "shuffled" moves the places within each run of eight: fixed, so that a link shows the same picture twice.
SHUFFLE = (3, 6, 0, 5, 1, 7, 4, 2)


@dataclass(frozen=True, eq=False)
class EditPlan:
    """The edits of a pass.

    Attributes:
        edits: for every sentence of the batch.
        patterns: kind, layer, head -> the pattern it gets instead of its own. [query, key]
        silenced: for each sentence of the batch one more head to silence, or empty.
    """

    edits: Edits
    patterns: Mapping[Head, Tensor] = field(default_factory=dict)
    silenced: Sequence[Head] = ()

    def allowed(self, kind: str, layer: int, own: Tensor) -> Tensor:
        """The mask after the edits. own: bool [batch or 1, 1, query, key]

        Raises:
            InputError: a query would have nothing left to look at.
        """
        queries, keys = own.shape[-2:]
        shape = named(self.edits.masks, kind, layer)
        cells = self.edits.cells(kind, layer)
        if shape is None and not cells:
            return own
        allowed = own
        if shape is not None:
            # Padding is what no query may look at; a mask of another shape must not let anybody look there.
            real = own.any(dim=-2, keepdim=True)
            q = torch.arange(queries, device=own.device)[:, None]
            k = torch.arange(keys, device=own.device)
            name = shape.rstrip("0123456789")
            size = int(shape.removeprefix(name) or 1)
            allowed = {
                "full": real.expand_as(own),
                "causal": real & (k <= q),
                "window": own & ((q - k).abs() <= size),
                "block": own & (q // size == k // size),
            }[name]
        allowed = allowed.clone()
        for query, key in cells:
            if key < keys and (query is None or query < queries):
                allowed[..., slice(None) if query is None else query, key] = False
        blind = own.any(-1) & ~allowed.any(-1)  # [batch or 1, 1, query]
        if kind != "cross" and queries == keys:
            blind &= own.any(dim=-2)  # what padding would look at means nothing
        if blind.any():
            place = int(blind.nonzero()[0, -1])
            raise InputError(
                "row_blind",
                f"With these edits token {place} has nothing left to look at in {kind} layer {layer}. "
                f"Let it look at one token at least.",
                token=place,
                kind=kind,
                layer=layer,
            )
        return torch.where(allowed.any(-1, keepdim=True), allowed, own)

    def sharpness(self, kind: str) -> float:
        """What the scores are multiplied by: one over the temperature."""
        return 1 / self.edits.temperature.get(kind, 1.0)

    def forced(self, kind: str, layer: int, heads: int, allowed: Tensor, keys: int) -> dict[int, Tensor]:
        """Head -> the weights it gets instead of its own. [batch or 1, query, key]

        Raises:
            InputError: a pattern comes from a sentence of another length.
        """
        looks = allowed[:, 0].float()
        found: dict[int, Tensor] = {}
        wanted = [(k, at, h) for k, at, h in self.edits.uniform if k == kind and at in (None, layer)]
        for head in range(heads):
            if any(h in (None, head) for *_, h in wanted):
                found[head] = looks / looks.sum(-1, keepdim=True)
            pattern = named(self.patterns, kind, layer, head)
            if pattern is not None:
                if kind != "decoder" and pattern.shape[1] != keys:
                    raise InputError(
                        "patch_length",
                        f"The other sentence has {pattern.shape[1]} tokens and this one {keys}: a pattern fits only "
                        f"where they are as many.",
                        other=pattern.shape[1],
                        tokens=keys,
                    )
                # Rows behind the pattern's end repeat its last one; what the mask forbids is left out.
                rows = pattern[torch.arange(looks.shape[-2]).clamp(max=len(pattern) - 1)][:, :keys].to(looks)
                given = torch.nn.functional.pad(rows, (0, keys - rows.shape[1])) * looks
                total = given.sum(-1, keepdim=True)
                found[head] = torch.where(total > 0, given / total, looks / looks.sum(-1, keepdim=True))
        return found

    def factors(self, kind: str, layer: int, heads: int) -> list[list[float]] | None:
        """What each head's output is multiplied by, for each sentence of the batch (or one row for all)."""
        one = [named(self.edits.heads, kind, layer, head) for head in range(heads)]
        common = [1.0 if factor is None else factor for factor in one]
        mine = [head for k, at, head in self.silenced if (k, at) == (kind, layer)]
        if not mine:
            return None if all(factor == 1 for factor in common) else [common]
        rows = [list(common) for _ in self.silenced]
        for row, (k, at, head) in zip(rows, self.silenced, strict=True):
            if (k, at) == (kind, layer) and head is not None:
                row[head] = 0.0
        return rows

    def places(self, count: int) -> Tensor | None:
        """The place that each token is told to stand at, or None where that is its own. [token]"""
        if self.edits.positions == "own":
            return None
        if self.edits.positions == "off":
            return torch.zeros(count, dtype=torch.long)
        moved = [place // 8 * 8 + SHUFFLE[place % 8] for place in range(count)]
        # The last run may be shorter than eight: who would leave the text stays in order among the rest.
        order = sorted(range(count), key=lambda place: (place // 8, moved[place]))
        return torch.tensor(order)


_plan: ContextVar[EditPlan | None] = ContextVar("plan", default=None)


@contextmanager
def editing(plan: EditPlan | None) -> Iterator[None]:
    """Apply a plan to the passes inside this block; None leaves them alone."""
    token = _plan.set(plan)
    try:
        yield
    finally:
        _plan.reset(token)


def current() -> EditPlan | None:
    """The plan of the pass that is running in this thread."""
    return _plan.get()


def placed(encoding: Tensor) -> Tensor:
    """Positional vectors as the edits hand them out; untouched without edits. [..., token, d]"""
    plan = _plan.get()
    places = None if plan is None else plan.places(encoding.shape[-2])
    return encoding if places is None else encoding.index_select(-2, places.to(encoding.device))


def plan_edits(lens: Lens, edits: Edits | None) -> EditPlan | None:
    """What a model needs to know to run with these edits; None where they change nothing.

    Raises:
        InputError: they name what this model does not have, or cannot be applied in it.
    """
    if not edits:
        return None
    if not lens.heads:
        raise InputError(
            "edits_unseen", "This model's family computes attention in a way of its own, so nothing can be changed."
        )
    if edits.fitting(lens.heads) != edits:
        misfits = [
            ".".join("*" if part is None else str(part) for part in where)
            for name, where, _ in edits.items()
            if not fits(name, where, lens.heads)
        ]
        raise InputError(
            "edits_unfit",
            f"This model has {lens.heads} (layers, heads); it has nothing to change at {', '.join(misfits)}.",
            places=", ".join(misfits),
        )
    if edits.positions != "own" and not lens.can_move_positions:
        raise InputError("positions_fixed", "The way this model is told its positions cannot be changed.")
    patterns: dict[Head, Tensor] = {}
    for (kind, layer, head), (text, target) in edits.patched.items():
        try:
            other = lens.trace(text, target).attentions[kind]
        except InputError as error:
            raise InputError("patch_text", f"The other sentence for a pattern: {error}", detail=str(error)) from error
        for at in range(other.num_layers) if layer is None else [layer]:
            weights = torch.tensor(other.weights(at))
            for h in range(other.num_heads) if head is None else [head]:
                patterns[kind, at, h] = weights[h]
    return EditPlan(edits, patterns)
