"""Attention that a model writes out itself: a softmax over the keys, whose result is multiplied with the values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn
from torch.utils.weak import WeakIdKeyDictionary

SOFTMAX = frozenset({"softmax", "_softmax"})
DROPOUT = frozenset({"dropout", "dropout_", "feature_dropout", "alpha_dropout"})
LEFT_PRODUCTS = frozenset({"matmul", "__matmul__", "bmm", "mm"})  # weights · values, in this order


@dataclass(frozen=True, eq=False)
class SoftmaxResult:
    """Weights of a softmax that may be attention.

    Attributes:
        weights: over the last axis; before dropout.
        dropout: the share of them that was dropped afterwards.
    """

    weights: Tensor
    dropout: float = 0.0


class SoftmaxWeights:
    """The softmax results of a pass, until they are multiplied with values."""

    def __init__(self) -> None:
        self._results = WeakIdKeyDictionary()

    def note(
        self, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], result: Any
    ) -> SoftmaxResult | None:
        """Note a function's result; returns the weights where the function multiplied them with values."""
        name = getattr(function, "__name__", "")
        if name in LEFT_PRODUCTS:
            return self._used(args[:1], args[1:2] or [*kwargs.values()])
        if name == "einsum":
            operands = _flat(args[1:])
            found = [one for one in operands if isinstance(one, Tensor) and one in self._results]
            return self._used(found[:1], [one for one in operands if not (found and one is found[0])])
        if not isinstance(result, Tensor) or result.dim() < 2:
            return None
        if name in SOFTMAX:
            if _axis(args, kwargs) in (-1, result.dim() - 1):
                self._results[result] = SoftmaxResult(result)
            return None
        before = next((self._results[one] for one in args if isinstance(one, Tensor) and one in self._results), None)
        if before is not None:
            self._follow(name, before, args, kwargs, result)
        return None

    def _follow(
        self, name: str, before: SoftmaxResult, args: Sequence[Any], kwargs: Mapping[str, Any], result: Tensor
    ) -> None:
        """Note what became of softmax weights, as far as the result still holds weights of queries and keys."""
        if name in DROPOUT:
            training = args[2] if len(args) > 2 else kwargs.get("training", kwargs.get("train", True))
            share = args[1] if len(args) > 1 else kwargs.get("p", 0.5)
            self._results[result] = replace(before, dropout=float(share) if training else before.dropout)
            return
        queries, keys = before.weights.shape[-2:]
        if result.shape[-2] != queries or result.shape[-1] > keys:
            return
        # A sink's column may be cut off, a mask multiplied in, an axis of heads made; where one is lost, less is known.
        joined = result.dim() < before.weights.dim() and result.numel() == before.weights.numel()
        self._results[result] = before if before.dropout or joined else replace(before, weights=result)

    def _used(self, weights: Sequence[Any], others: Sequence[Any]) -> SoftmaxResult | None:
        """Noted weights in a product with values, which are no parameters; else None."""
        if not weights or not isinstance(weights[0], Tensor) or weights[0] not in self._results:
            return None
        values = [one for one in others if isinstance(one, Tensor)]
        return None if not values or isinstance(values[0], nn.Parameter) else self._results[weights[0]]


def _axis(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """The axis that a softmax is taken over; None where it is not said."""
    return kwargs.get("dim", kwargs.get("axis", args[1] if len(args) > 1 else None))


def _flat(values: Sequence[Any]) -> list[Any]:
    """Values, with those in lists and tuples in place of these."""
    return [one for value in values for one in (value if isinstance(value, (list, tuple)) else [value])]
