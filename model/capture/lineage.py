"""What the tensors of a running pass were computed from, as far back as tells self-attention from cross-attention."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn
from torch.utils.weak import WeakIdKeyDictionary

GENERATIONS = 3  # projections and residual sums that a lineage goes back: q, x and what a first projection read of x
OPERANDS = {"baddbmm": 1, "addbmm": 1, "addmm": 1}  # products of the second and the third argument
PRODUCTS = frozenset({"matmul", "__matmul__", "__rmatmul__", "bmm", "mm", "einsum", "tensordot", *OPERANDS})
PROJECTIONS = frozenset({"linear", "bilinear", "conv1d", "conv2d", "conv3d"})
SUMS = frozenset({"add", "add_", "__add__", "__radd__", "__iadd__"})
JOINED = frozenset({"cat", "concat", "concatenate", "stack", "hstack", "vstack"})
ORIGINS = frozenset({"embedding", "scaled_dot_product_attention", "multi_head_attention_forward"})


@dataclass(frozen=True)
class Ancestry:
    """What a tensor was computed from.

    Attributes:
        generations: numbers of its ancestors, the nearest first; a projection or a residual sum begins a generation.
        same_source: of scores, whether queries and keys were computed from the same tensor; None of other tensors.
    """

    generations: tuple[frozenset[int], ...]
    same_source: bool | None = None

    def ancestors(self, generations: int = GENERATIONS) -> frozenset[int]:
        """The numbers of the tensor itself and of its ancestors in the nearest generations."""
        return frozenset().union(*self.generations[:generations])

    def is_related(self, other: Ancestry, generations: int = GENERATIONS) -> bool:
        """Whether two tensors were computed from the same one."""
        return not self.ancestors(generations).isdisjoint(other.ancestors(generations))


class Lineage:
    """The ancestry of every tensor that the functions of a pass returned; holds no tensor."""

    def __init__(self) -> None:
        self._ancestries = WeakIdKeyDictionary()
        self._numbers = itertools.count()

    def of(self, tensor: Tensor) -> Ancestry:
        """The ancestry of a tensor; one that no function returned so far is an origin."""
        found = self._ancestries.get(tensor)
        if found is None:
            found = self._ancestries[tensor] = Ancestry((frozenset({next(self._numbers)}),))
        return found

    def note(self, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
        """Note what a function computed its result from."""
        name = getattr(function, "__name__", "")
        if name == "__setitem__" or (name.endswith("_") and not name.endswith("__") and name not in SUMS):
            self._note_change(args)
            return
        made = [one for one in _tensors(result) if one.is_floating_point() or one.is_complex()]
        if not made:
            return
        ancestry = self._parents(name, args, kwargs)
        for tensor in made:
            nearest, *older = ancestry.generations or (frozenset[int](),)
            self._ancestries[tensor] = replace(ancestry, generations=(nearest | {next(self._numbers)}, *older))

    def relate(self, one: Tensor, other: Tensor) -> None:
        """Give a tensor the ancestry of another one, which it equals."""
        self._ancestries[other] = self.of(one)

    def _note_change(self, args: Sequence[Any]) -> None:
        """Note that a tensor's numbers were replaced by others', as a cache's are."""
        found = list(_streams(args))
        if len(found) > 1 and found[0] is args[0]:
            self._ancestries[found[0]] = _united([self.of(one) for one in found])

    def _parents(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Ancestry:
        """The ancestry of a function's result, without the result itself."""
        streams = [] if name in ORIGINS else list(_streams([*args[OPERANDS.get(name, 0) :], *kwargs.values()]))
        if not streams:
            return Ancestry(())
        if name in PROJECTIONS:
            return self._next_generation(self.of(streams[0]))
        if name in PRODUCTS:
            active = [one for one in streams if one.dim() > 2] or streams[:1]
            if len(active) == 1:  # times a matrix of weights
                return self._next_generation(self.of(active[0]))
            query, key = self.of(active[0]), self.of(active[1])
            if query.same_source is not None or key.same_source is not None:  # weights times values
                return Ancestry(())
            return Ancestry((), query.is_related(key))
        found = [self.of(one) for one in streams]
        if name in JOINED:
            return _united(found)
        scores = next((one for one in found if one.same_source is not None), None)  # a bias may stand on their left
        if scores is None and name in SUMS and len(found) > 1 and not found[0].is_related(found[1]):
            return self._next_generation(found[0])
        return scores or found[0]

    @staticmethod
    def _next_generation(ancestry: Ancestry) -> Ancestry:
        return Ancestry((frozenset(), *ancestry.generations)[:GENERATIONS])


def _united(ancestries: Sequence[Ancestry]) -> Ancestry:
    """The ancestry of tensors that were joined into one."""
    levels = itertools.zip_longest(*(one.generations for one in ancestries), fillvalue=frozenset[int]())
    return Ancestry(tuple(frozenset().union(*level) for level in levels))


def _tensors(value: Any) -> Iterator[Tensor]:
    """The tensors in a value, and in its lists and tuples."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from _tensors(one)


def _streams(values: Sequence[Any]) -> Iterator[Tensor]:
    """The tensors among a function's arguments that hold activations: floating, and no parameters."""
    for one in _tensors(values):
        if not isinstance(one, nn.Parameter) and (one.is_floating_point() or one.is_complex()):
            yield one
