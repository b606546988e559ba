"""How a stack is built, read from one run of it: its embedding, its layers, its last norm."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from model.decomposition.norms import is_norm
from model.decomposition.observation import ModuleCall
from model.decomposition.plans.block_plan import BlockPlan, Key
from model.decomposition.sums import find_sum, is_close
from model.trace.boxes.stack import Norm


@dataclass(frozen=True, eq=False)
class EmbeddingPlan:
    """How the first state is made.

    Attributes:
        tokens: the part that looks the tokens up, and the factor of its output; None where it cannot be told apart.
        other: parts whose output is added for something else than token and position, and their factors.
        norm: the norm of the sum.
        patches: what is added to the patches of a picture for their positions, [patch, d_model]; None for a text.
            Tokens before them, such as one for the whole picture, are the same for every picture.
        heard: whether the part that looks tokens up is a convolution over a sound, as `heard_rows` reads it.
    """

    tokens: tuple[str, float] | None
    other: tuple[tuple[str, float], ...] = ()
    norm: str | None = None
    patches: Tensor | None = None
    heard: bool = False


@dataclass(frozen=True, eq=False)
class StackPlan:
    """Where the numbers of a stack are found in each run.

    Attributes:
        layers: the blocks of each layer; final_norm: the path of the norm after the last.
        sum_norms: of each layer, what its norms of a sum compute with: key -> norm.
    """

    embedding: EmbeddingPlan
    layers: tuple[tuple[BlockPlan, ...], ...]
    final_norm: str | None
    sum_norms: tuple[Mapping[Key, Norm], ...]


def plan_embedding(
    first: Tensor,
    before: Sequence[ModuleCall],
    module: nn.Module,
    words: nn.Module,
    tolerance: float,
    positions: Tensor | None = None,
    behind: int | None = None,
) -> EmbeddingPlan:
    """How the first layer's input is put together.

    Args:
        first: that input. [token, d_model]
        before: calls before the first layer; words: the table that looks tokens up.
        positions: what is added for them, where no part of the model holds it. [token, d_model]
        behind: tokens before the patches of a clip, of which the first frame is shown; None otherwise.
    """
    norm, target = None, first
    for call in before:
        if call.x is not None and is_close(call.y, first, tolerance) and is_norm(call):
            norm, target = call.path, call.x
            break
    looked_up = [one for one in before if one.y is not None and one.y.shape == target.shape]
    tables = [one for one in looked_up if isinstance(one.module, nn.Embedding) or one.module is words]
    candidates = {call.path: call.y for call in tables if call.y is not None}
    candidates |= _stored_tables(module, target) if positions is None else {"positions": positions.float()}
    own = next((call.path for call in tables if call.module is words), None)
    if own is None:
        if any(isinstance(part, nn.Conv1d) for call in before for part in call.module.modules()):
            # A table that is no `nn.Embedding` (Speech2Text): it is given places, and no numbers.
            placed = {call.path: call.y for call in looked_up if call.x is None and call.y is not None}
            return _plan_of_sound(target, before, candidates | placed, norm, tolerance)
        return _plan_patches(target, before, words, norm, behind)
    names = list(candidates)
    for fitted in (False, True):
        found = find_sum(target, torch.zeros_like(target), [candidates[name] for name in names], tolerance, fitted)
        if found is not None:
            factors = {names[i]: factor for i, factor in found}
            if own in factors:
                other = [
                    (name, factor) for name, factor in factors.items() if _is_constant(candidates[name], name, own)
                ]
                return EmbeddingPlan((own, factors[own]), tuple(other), norm)
    return EmbeddingPlan(None)


def _plan_patches(
    target: Tensor, before: Sequence[ModuleCall], words: nn.Module, norm: str | None, behind: int | None
) -> EmbeddingPlan:
    """The embedding of a picture's patches. target: what patches and positions add up to. [token, d_model]"""
    call = next((one for one in before if one.module is words and one.y is not None), None)
    if call is None or call.y is None or call.y.shape[1] != target.shape[1]:
        return EmbeddingPlan(None)
    count = len(call.y) if behind is None else len(target) - behind
    if not 0 < count <= min(len(call.y), len(target)):
        return EmbeddingPlan(None)
    return EmbeddingPlan((call.path, 1.0), norm=norm, patches=target[-count:] - call.y[:count])


def _plan_of_sound(
    target: Tensor, before: Sequence[ModuleCall], tables: Mapping[str, Tensor], norm: str | None, tolerance: float
) -> EmbeddingPlan:
    """As `plan_embedding`, of a stack whose tokens are moments that convolutions cut a sound into; else without parts.

    Args:
        target: the sum, before its norm; tables: what may be added to it by name.
    """
    for call in before:
        if call.y is None or call.path in tables:
            continue
        heard = call.y.shape != target.shape
        rows = heard_rows(call.y) if heard else call.y
        if rows.shape != target.shape:
            continue
        for fitted in (False, True):
            terms = [rows, *tables.values()]
            found = dict(find_sum(target, torch.zeros_like(target), terms, tolerance, fitted) or ())
            if 0 in found:
                return EmbeddingPlan((call.path, found[0]), (), norm, heard=heard)
    return EmbeddingPlan(None)


def heard_rows(columns: Tensor) -> Tensor:
    """The moments of a sound from the output of a convolution over it, through GELU. [d_model, token] -> transposed"""
    return nn.functional.gelu(columns).T


def _is_constant(values: Tensor, name: str, own: str) -> bool:
    """Whether a part gives every token the same, as the type of a single sentence does."""
    return name != own and len(values) > 1 and bool((values == values[0]).all())


def _stored_tables(module: nn.Module, target: Tensor) -> dict[str, Tensor]:
    """Parameters and buffers with a row for each position, cut to the rows that are used."""
    rows, width = target.shape
    found = {}
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        table = tensor[0] if tensor.dim() == 3 and len(tensor) == 1 else tensor
        if table.dim() == 2 and table.shape[1] == width and len(table) >= rows and "position" in name:
            found[name] = table[:rows].detach().float()
    return found


def final_norm(last: Tensor, after: Sequence[ModuleCall]) -> ModuleCall | None:
    """The norm that the last layer's output goes through, or None."""
    return next((call for call in after if is_close(call.x, last) and is_norm(call)), None)


def parts_of(plan: EmbeddingPlan) -> Iterator[str]:
    """The parts whose calls must be seen."""
    yield from (name for name, _ in plan.other)
    if plan.tokens is not None:
        yield plan.tokens[0]
    if plan.norm is not None:
        yield plan.norm
