"""The functions of PyTorch that a watched pass calls, and the attention among them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from model.attention.record import BatchCall
from model.capture.call_arguments import (
    MULTI_HEAD,
    CallArguments,
    multi_head_arguments,
    scaled_dot_product_arguments,
)
from model.capture.layouts import copied, four_axes, head_count, is_causal, weights_are_causal
from model.capture.lineage import Lineage
from model.capture.module_path import Paths, running_module
from model.capture.softmax_weights import SoftmaxResult, SoftmaxWeights
from model.capture.watched_call import WatchedCall
from model.capture.watched_run import WatchedRun

INPUT_GENERATIONS = 2  # of inputs of `nn.MultiheadAttention`, which are not projected yet


class AttentionInterception(TorchFunctionMode):
    """Records the attention of a module's passes in this thread; every function still computes what it computes.

    While it is there, `nn.MultiheadAttention` and `nn.TransformerEncoder` leave out their fused fast path, which hides
    the attention; they look for such a mode themselves, so nothing has to be set back.

    Args:
        run: where calls are recorded; paths: the modules that are watched.
    """

    def __init__(self, run: WatchedRun, paths: Paths) -> None:
        super().__init__()
        self._run, self._paths = run, paths
        self._lineage, self._softmax = Lineage(), SoftmaxWeights()

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if torch._C._current_graph_task_id() == -1:  # a backward pass repeats what was checkpointed
            try:
                self._note(func, args, kwargs, result)
            except Exception as error:  # watching must never end a pass that would have run
                self._run.note_failure(str(error) or type(error).__name__)
        return result

    def relate(self, query: Tensor, key: Tensor) -> None:
        """Take two tensors for one, as they hold the same numbers."""
        self._lineage.relate(query, key)

    def _note(self, func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
        """Record a function's call where it is attention, and what its result was computed from."""
        if func is F.scaled_dot_product_attention:
            self._note_scaled_dot_product(args, kwargs)
        elif func is F.multi_head_attention_forward:
            self._note_multi_head(args, kwargs)
        elif (used := self._softmax.note(func, args, kwargs, result)) is not None:
            self._note_softmax(used)
        self._lineage.note(func, args, kwargs, result)

    def _note_scaled_dot_product(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        found = self._caller()
        if found is None:
            return
        path, module = found
        query, key = (args[at] if len(args) > at else kwargs[name] for at, name in enumerate(("query", "key")))
        _check_numbers(query)
        related = query is key or self._lineage.of(query).is_related(self._lineage.of(key))
        arguments = scaled_dot_product_arguments(head_count(module), *args, **kwargs)
        self._record(path, module, "scaled_dot_product_attention", arguments, related)

    def _note_multi_head(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        found = self._caller()
        if found is None:
            return
        path, module = found
        if _is_fused_unwatched(module):
            self._run.note_rounding(str(torch.get_autocast_dtype("cpu")).removeprefix("torch."))
        given = MULTI_HEAD.bind(*args, **kwargs).arguments
        query, key = given["query"], given["key"]
        _check_numbers(query)
        related = query is key or self._lineage.of(query).is_related(self._lineage.of(key), INPUT_GENERATIONS)
        self._record(path, module, "multi_head_attention_forward", multi_head_arguments(args, kwargs), related)

    def _note_softmax(self, used: SoftmaxResult) -> None:
        found = self._caller()
        if found is None:
            return
        path, module = found
        _check_numbers(used.weights)
        weights = copied(four_axes(used.weights, head_count(module)))
        related = self._lineage.of(used.weights).same_source
        queries, keys = weights.shape[-2:]
        related = queries == keys if related is None else related
        kind = self._kind(path, module, queries, keys, weights_are_causal(weights), related)
        self._add(WatchedCall(path, kind, self._run.forward_pass, "softmax", _name(module), used.dropout, (), weights))

    def _record(self, path: str, module: Any, function: str, found: CallArguments, related: bool) -> None:
        call = max(found.parts, key=_queries)  # a text of one token tells no kind
        queries, keys = _queries(call), call.key.shape[-2] - len(found.extra_keys)
        causal = is_causal(call, len(found.extra_keys))
        kind = self._kind(path, module, queries, keys, causal, related)
        forward_pass = self._run.forward_pass
        self._add(
            WatchedCall(path, kind, forward_pass, function, _name(module), found.dropout, found.extra_keys, found.parts)
        )

    def _kind(self, path: str, module: Any, queries: int, keys: int, causal: bool, related: bool) -> str:
        """The kind of a call, by its mask and by whether queries and keys were computed from the same tensor."""
        if causal:
            return "decoder"
        # One token alone, or one whose earlier keys are cached, has no mask that tells.
        if related and queries <= keys and queries == 1:
            known = getattr(module, "is_causal", None) is True or self._run.kind_of(path) == "decoder"
            if known or keys == 1:
                return "decoder" if known else "encoder"
        return "encoder" if related and queries == keys else "cross"

    def _caller(self) -> tuple[str, Any] | None:
        """The watched module that is running, with its path; None where another one is."""
        found = running_module(self._paths)
        if found is None:
            self._run.calls_elsewhere += 1
        return found

    def _add(self, call: WatchedCall) -> None:
        self._run.add(call)


def _queries(call: BatchCall) -> int:
    return call.query.shape[-2]


def _name(module: Any) -> str:
    return type(module).__name__


def _is_fused_unwatched(module: torch.nn.Module) -> bool:
    """Whether a module under autocast on the CPU would take PyTorch's fused path, which a GPU's autocast rules out."""
    if not torch.is_autocast_enabled("cpu") or not torch.backends.mha.get_fastpath_enabled() or module.training:
        return False
    return not torch.is_grad_enabled() or not any(one.requires_grad for one in module.parameters())


def _check_numbers(tensor: Tensor) -> None:
    """Raise an error where a tensor has no numbers that could be kept."""
    if tensor.is_meta:
        raise ValueError("its tensors are on the device 'meta', which holds no numbers")
    if torch._C._functorch.is_functorch_wrapped_tensor(tensor):
        raise ValueError("it ran inside a transform of torch.func, such as vmap, whose tensors cannot be kept")
