"""Calls of a module's parts during one pass: what went in, what came out, and whether attention ran inside."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from model.attention.record import Record, record

WIDEST = 20_000  # states are narrower, scores of a vocabulary are not kept


@dataclass(frozen=True, eq=False)
class ModuleCall:
    """One call of a module.

    Attributes:
        path: its name within the layer, or within the model where it belongs to no layer; count: how often it had been
            called in this layer before.
        x, y: its first input and its first output, float32, tokens as rows; None where they have no row a token.
        arguments: everything that it was called with.
        outputs: everything that it returned.
        attention: (kind, layer) of the attention calls inside.
    """

    path: str
    count: int
    module: nn.Module
    x: Tensor | None
    y: Tensor | None
    arguments: tuple[tuple[Any, ...], dict[str, Any]]
    outputs: Any
    attention: frozenset[tuple[str, int]]

    @property
    def key(self) -> tuple[str, int]:
        return self.path, self.count


@dataclass(eq=False)
class LayerCalls:
    """One run of a layer: the calls of the layer and of its parts, those that end first, first. The last is its own.

    Attributes:
        record: the attention calls of the pass so far.
    """

    record: Record
    calls: list[ModuleCall] = field(default_factory=list)

    @property
    def own(self) -> ModuleCall:
        return self.calls[-1]

    @property
    def parts(self) -> Sequence[ModuleCall]:
        return self.calls[:-1]


@dataclass(eq=False)
class Pass:
    """What was seen of one pass.

    Attributes:
        before, after: calls outside the layers, before the first and after the last of them.
        result: what the pass returned; record: its attention calls.
    """

    before: list[ModuleCall] = field(default_factory=list)
    after: list[ModuleCall] = field(default_factory=list)
    result: Any = None
    record: Record = field(default_factory=Record)


def find_layers(stack: nn.Module) -> nn.ModuleList:
    """The list of layers of a stack: of its outermost module lists the one with most parameters.

    Those of a part that reads something else, as a picture beside a text, are left out: such a part has settings of
    another kind.

    Raises:
        ValueError: it has none.
    """
    settings: Any = getattr(stack, "config", None)
    text = settings.get_text_config() if hasattr(settings, "get_text_config") else settings
    own = (type(settings), type(text), type(None))

    def outermost(module: nn.Module, every: bool) -> Iterator[nn.ModuleList]:
        for child in module.children():
            if isinstance(child, nn.ModuleList):
                yield child
            elif every or isinstance(getattr(child, "config", None), own):
                yield from outermost(child, every)

    lists = [stack] if isinstance(stack, nn.ModuleList) else list(outermost(stack, settings is None))
    lists = lists or list(outermost(stack, True))
    if not lists:
        raise ValueError(f"{type(stack).__name__} has no list of layers.")
    return max(lists, key=lambda one: sum(parameter.numel() for parameter in one.parameters()))


@dataclass(frozen=True, eq=False)
class Watched:
    """What is watched of one stack.

    Attributes:
        layers: of the stack; tokens: length of its stream.
        on_layer: gets the calls of each layer when it ends; they are freed afterwards.
        wanted: which paths within a layer are of interest.
    """

    layers: nn.ModuleList
    tokens: int
    on_layer: Callable[[LayerCalls], None]
    wanted: Callable[[str], bool] = lambda _: True


def observe(module: nn.Module, run: Callable[[Any], Any], stacks: Sequence[Watched]) -> list[Pass]:
    """What was seen of one pass, for each of some stacks; the calls of their layers' parts are handed on meanwhile.

    Args:
        module: a copy of the model, which keeps the hooks only while this runs; run: passes the input through it.
    """
    observers = [_Observer(watched) for watched in stacks]
    handles = [handle for observer in observers for handle in observer.hook_all(module)]
    try:
        with torch.inference_mode(), record() as recorded, _Softmaxes() as softmaxes:
            for observer in observers:
                observer.record = observer.seen.record = recorded
                observer.maps = softmaxes.maps
            result = run(module)
    finally:
        for handle in handles:
            handle.remove()
    for observer in observers:
        observer.seen.result = result
    return [observer.seen for observer in observers]


class _Softmaxes(TorchFunctionMode):
    """Notes the shapes of what softmax returns: what is left of an attention that neither records nor returns maps."""

    def __init__(self) -> None:
        super().__init__()
        self.maps: list[torch.Size] = []

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        if getattr(func, "__name__", "") == "softmax":
            self.maps.append(found.shape)
        return found


class _Observer:
    """Hooks that turn calls into `ModuleCall`s."""

    def __init__(self, watched: Watched) -> None:
        self.watched, self.tokens = watched, watched.tokens
        self.seen, self.record = Pass(), Record()
        self.open: list[LayerCalls] = []  # layers within layers do not occur, but a list says whether one runs
        self.started = False
        self.inputs: list[tuple[Tensor | None, frozenset[tuple[str, int]], int]] = []
        self.maps: list[torch.Size] = []  # of the softmaxes of the pass

    def hook_all(self, module: nn.Module) -> list[Any]:
        """Hook what is outside of all layers, and the parts of the stack's layers; returns what removes the hooks."""
        handles = []
        listed = {id(part) for one in module.modules() if isinstance(one, nn.ModuleList) for part in one.modules()}
        for name, part in module.named_modules():
            if id(part) not in listed and part is not module:
                handles += self._hook(name, part, outside=True)
        for layer in {id(one): one for one in self.watched.layers}.values():
            for name, part in layer.named_modules():
                if name == "" or self.watched.wanted(name):
                    handles += self._hook(name, part, outside=False)
        return handles

    def _hook(self, name: str, part: nn.Module, outside: bool) -> list[Any]:
        """Hook a module; returns what removes the hooks."""

        def enter(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            if name == "" and not outside:
                self.open.append(LayerCalls(self.record))
                self.started = True
            # Some families add in place, so what goes in is kept as it was.
            given = self._rows(first_tensor((*args, *kwargs.values())))
            self.inputs.append((given, frozenset(self.record.calls), len(self.maps)))

        def leave(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            x, before, maps = self.inputs.pop()
            outputs = output if isinstance(output, tuple) else (output,)
            y = self._rows(first_tensor(outputs))
            target = self._target(outside)
            if target is None:
                return
            count = sum(call.path == name for call in target)
            inner = frozenset(self.record.calls) - before or self._returned_weights(outputs, name)
            if not inner and x is not None and name and any(_is_map(shape, x) for shape in self.maps[maps:]):
                inner = frozenset({("own", -1)})
            target.append(ModuleCall(name, count, module, x, y, (args, kwargs), output, inner))
            if name == "" and not outside:
                self.watched.on_layer(self.open.pop())

        return [
            part.register_forward_pre_hook(enter, with_kwargs=True),
            part.register_forward_hook(leave, with_kwargs=True),
        ]

    def _target(self, outside: bool) -> list[ModuleCall] | None:
        """The list that a call belongs to."""
        if outside:
            return self.seen.after if self.started else self.seen.before
        return self.open[-1].calls if self.open else None

    def _rows(self, tensor: Tensor | None) -> Tensor | None:
        """A copy with one row a token, whichever way the family flattens its batch of one; None where that fails."""
        if tensor is None or not tensor.is_floating_point() or tensor.dim() < 2 or tensor.shape[-1] > WIDEST:
            return None
        if tensor.dim() == 4 and tensor.shape[1] == 1:  # several streams: the first is the one that predicts (Gemma 3n)
            tensor = tensor[0]
        if tensor.numel() != self.tokens * tensor.shape[-1]:
            return tensor.detach().clone().float().flatten(0, -2) if tensor.dim() <= 3 else None
        return tensor.detach().clone().float().reshape(self.tokens, -1)

    def _returned_weights(self, outputs: tuple[Any, ...], name: str) -> frozenset[tuple[str, int]]:
        """A sign of attention in families that run with their own: a map whose rows sum to 1 comes out too."""
        for one in outputs[1:]:
            if not isinstance(one, Tensor) or one.dim() != 4 or self.tokens not in one.shape or not name:
                continue
            sums = [one.float().sum(axis) for axis in range(4) if one.shape[axis] > 1 or self.tokens == 1]
            if any(torch.allclose(rows, torch.ones_like(rows), atol=1e-3) for rows in sums):
                own = list(one.shape).count(self.tokens) > 1
                return frozenset({("own" if own else "cross", -1)})
        return frozenset()


def _is_map(shape: torch.Size, x: Tensor) -> bool:
    """Whether a softmax went over all pairs within the sequences of a part's rows. shape: [sequence, head, query, key]

    Args:
        x: what the part got. [row, d]
    """
    return len(shape) == 4 and 1 < shape[-1] == shape[-2] and shape[0] * shape[-1] == len(x)


def first_tensor(values: Sequence[Any]) -> Tensor | None:
    """The first tensor of numbers with a row for each token among arguments or outputs."""
    for value in values:
        if isinstance(value, Tensor) and value.is_floating_point() and value.dim() >= 2:
            return value
        if isinstance(value, (tuple, list)) and value and isinstance(value[0], Tensor) and value[0].is_floating_point():
            return first_tensor(value)
        if hasattr(value, "last_hidden_state"):
            found: Tensor = value.last_hidden_state
            return found
    return None
