"""A context in which PyTorch computes in float64, also with the weights of a model in another number format."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

FLOATS = (torch.float32, torch.bfloat16, torch.float16)
ROWS = 2**22  # numbers of a matrix that are converted at once: that of a vocabulary would take a quarter of a gigabyte
# By the names of functions: what looks rows up in a table converts what it found; what asks about a tensor takes it as
# it is; what changes a tensor in place leaves that one as it is.
LOOKUPS = {"embedding", "__getitem__", "index_select"}
QUESTIONS = {"__get__", "size", "dim", "numel", "stride", "is_floating_point", "is_contiguous", "data_ptr", "__len__"}
IN_PLACE = {"__setitem__", "__set__", "__iadd__", "__isub__", "__imul__", "__itruediv__", "__ipow__"}
NARROWING = {"float", "half", "bfloat16"}
GROUPED = {"grouped_mm", "_grouped_mm"}  # products of the experts of a layer, which PyTorch has in no float64


@contextmanager
def float64_everywhere() -> Iterator[None]:
    """In this thread everything is computed in float64 while the block runs.

    A model needs no copy: each weight is converted where it is used, one at a time.
    """
    with _Float64Mode():
        yield


@contextmanager
def any_format() -> Iterator[None]:
    """A context inside `float64_everywhere` in which formats are as they are asked for."""
    with torch._C.DisableTorchFunction():
        yield


class _Float64Mode(TorchFunctionMode):
    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, kwargs = getattr(func, "__name__", ""), kwargs or {}
        if name == "linear" and len(args) > 1 and args[1].numel() > ROWS:
            return _linear_by_rows(*args, **kwargs)
        if name in GROUPED:
            return _multiply_by_group(*args, **kwargs)
        if name in NARROWING and len(args) == 1:
            return args[0].double()
        if name not in LOOKUPS | QUESTIONS:
            changed = int(name in IN_PLACE or (name.endswith("_") and not name.endswith("__")))
            args = (*args[:changed], *(_widened(one) for one in args[changed:]))
            kwargs = {key: one if key == "out" else _widened(one) for key, one in kwargs.items()}
        return _widened(func(*args, **kwargs))


def _widened(value: Any) -> Any:
    """A number format, a tensor, or those in a list or tuple, as float64 where they were another format of floats."""
    if isinstance(value, torch.dtype):
        return torch.float64 if value in FLOATS else value
    if type(value) in (Tensor, torch.nn.Parameter):
        return value.double() if value.dtype in FLOATS else value
    if type(value) in (list, tuple):
        return type(value)(map(_widened, value))
    return value


def _linear_by_rows(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """As `torch.nn.functional.linear`, in float64, with so many rows of a large matrix at a time."""
    x, step = x.double(), max(ROWS // weight.shape[1], 1)
    found = x.new_empty(*x.shape[:-1], len(weight))
    for start in range(0, len(weight), step):
        part = slice(start, start + step)
        found[..., part] = torch.nn.functional.linear(
            x, weight[part].double(), None if bias is None else bias[part].double()
        )
    return found


def _multiply_by_group(x: Tensor, weight: Tensor, *, offs: Tensor, **_: None) -> Tensor:
    """As `torch.nn.functional.grouped_mm`, in float64, one expert at a time.

    Args:
        x: tokens, by expert. [token, d_in]
        weight: [expert, d_in, d_out]
        offs: how many tokens stand before the end of each expert's. [expert]
    """
    found = torch.zeros(len(x), weight.shape[-1], dtype=torch.float64, device=x.device)
    start = 0
    for expert, end in enumerate(offs.tolist()):
        if end > start:
            found[start:end] = x[start:end].double() @ weight[expert].double()
        start = end
    return found
