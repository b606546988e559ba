"""Kind and layer of the attention calls of a pass, by counting them: some models share one module among layers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from torch import Tensor, nn

from model.huggingface.recording.windows import Stage

UNNAMED = "unnamed"  # the kind of calls that are not shown


@dataclass
class CallCounter:
    """Kind and layer of the attention calls of a pass."""

    encoder: frozenset[int]  # ids of the encoder's modules in an encoder-decoder model, else empty
    single: str | None  # what a single stack is, "encoder" or "decoder"; None in an encoder-decoder model
    stage: Stage | None = None  # the only stage whose calls are named, of a model that attends within windows
    counts: dict[str, int] = field(default_factory=dict)
    last: tuple[Tensor, Tensor, tuple[str, int]] | None = None  # query, key and name of the call before

    def name(self, module: nn.Module, query: Tensor, key: Tensor) -> tuple[str, int]:
        """Kind and layer of the next call, made by `module`; those of the call before for the same query and key.

        Differential attention asks twice for the same weights, with two halves of its values.
        """
        if self.last is None or self.last[0] is not query or self.last[1] is not key:
            self.last = query, key, self._next(module)
        return self.last[2]

    def _next(self, module: nn.Module) -> tuple[str, int]:
        stack = self.single or ("encoder" if id(module) in self.encoder else "decoder")
        number = self.counts.get(stack, 0)
        self.counts[stack] = number + 1
        if self.stage is not None:
            number -= self.stage.first
            return (stack, number) if 0 <= number < len(self.stage.layouts) else (UNNAMED, 0)
        if stack == "decoder" and self.single is None:  # self-attention and cross-attention, in turn
            return ("decoder", "cross")[number % 2], number // 2
        return stack, number

    def layout(self, kind: str, layer: int) -> Tensor | None:
        """Which patch stands where in the windows of a named call; None without windows. [window, place]"""
        return None if self.stage is None or kind == UNNAMED else self.stage.layouts[layer]


_calls: ContextVar[CallCounter | None] = ContextVar("calls", default=None)


def current_calls() -> CallCounter | None:
    """What names the calls of this thread's pass; None outside of `name_attention_calls`."""
    return _calls.get()


@contextmanager
def name_attention_calls(encoder: nn.Module | None, single: str, stage: Stage | None = None) -> Iterator[None]:
    """Assign kind and layer to the attention calls of this thread while the block runs.

    Args:
        encoder: the encoder of an encoder-decoder model, else None.
        single: what a single stack is, "encoder" or "decoder".
        stage: the stage that is shown, of a model that attends within windows.
    """
    parts = frozenset(id(part) for part in encoder.modules()) if encoder is not None else frozenset[int]()
    token = _calls.set(CallCounter(parts, single if encoder is None else None, stage))
    try:
        yield
    finally:
        _calls.reset(token)
