"""The attention of a module's passes that were watched, as calls and as attentions by kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from model.capture.stacks import attentions_of
from model.capture.token_names import TokenNames
from model.capture.watched_call import WatchedCall
from model.trace.attention import Attention

SEEN = (
    "Seen are F.scaled_dot_product_attention, nn.MultiheadAttention and what is made of it, Keras's "
    "MultiHeadAttention and GroupedQueryAttention, and a softmax over the keys whose result is multiplied with values "
    "(@, bmm, matmul, einsum)."
)

ROUNDED = (
    "It ran under autocast on the CPU. Unwatched, PyTorch's fused path also rounds sums and norms to {dtype}; watched "
    "they stay float32, so the output is closer to float32's, and that rounding away from the unwatched one."
)

WEIGHTS_ONLY = (
    "Of a softmax that the model writes out, the weights alone are known, not query, key, value and scores. A Hugging "
    'Face model shows all of them after set_attn_implementation("sdpa").'
)


class WatchedRun:
    """What the attention of a watched module computed in its passes.

    Weights are those before dropout. `attentions` is the first item of the batch in the last pass; `select` returns
    others.

    Args:
        name: class of the watched module; tokens: names of its tokens.
        remarks: sentences on what about the module cannot be seen.
    """

    def __init__(self, name: str, tokens: TokenNames, remarks: tuple[str, ...] = ()) -> None:
        self._name, self._tokens, self._remarks = name, tokens, remarks
        self._calls: list[WatchedCall] = []
        self._kinds: dict[str, str] = {}
        self._failures: dict[str, int] = {}
        self._attentions: dict[tuple[int, int, int], dict[str, Attention]] = {}
        self._forward_passes = 0
        self._rounded_to = ""
        self.calls_elsewhere = 0

    def __repr__(self) -> str:
        notes = "".join(f" {note}" for note in self.notes)
        counts = f"attention calls: {len(self._calls)}, passes: {self._forward_passes}"
        return f"WatchedRun({self._name}, {counts}){notes}"

    @property
    def calls(self) -> tuple[WatchedCall, ...]:
        """Every attention call in the order of the run.

        Raises:
            LookupError: none was seen; the message says what is.
        """
        if not self._calls:
            raise LookupError(self._nothing_seen())
        return tuple(self._calls)

    @property
    def attentions(self) -> Mapping[str, Attention]:
        """The attention of the last pass for the first item of the batch, by kind.

        The keys are "encoder", "decoder" and "cross", those that there are. Where a kind has several stacks of layers,
        which differ in modules, heads or tokens, each has the path of its modules: "encoder text.layers.*.self_attn".

        Raises:
            LookupError: no attention was seen; the message says what is.
            ValueError: the given names of tokens do not fit.
        """
        return self.select()

    def select(self, item: int = 0, forward_pass: int = -1) -> Mapping[str, Attention]:
        """As `attentions`, of any item of the batch and any pass.

        Args:
            item: place in the batch. Of tensors with more axes than [batch, head, token, width] the axes in front of
                the heads count as the batch.
            forward_pass: which call of the watched module, from 0; -1 is the last one.

        Raises:
            IndexError: there is no such item or pass.
        """
        passes = sorted({call.forward_pass for call in self.calls})
        if not -len(passes) <= forward_pass < len(passes):
            raise IndexError(f"Attention was seen in passes 0 to {len(passes) - 1}; got forward_pass {forward_pass}.")
        chosen = passes[forward_pass]
        key = item, chosen, len(self._calls)
        if key not in self._attentions:
            calls = [call for call in self.calls if call.forward_pass == chosen]
            self._attentions[key] = attentions_of(calls, item, self._tokens)
        return self._attentions[key]

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on what differs from a plain pass, such as dropout; empty where there is nothing to say."""
        shares = sorted({call.dropout for call in self._calls if call.dropout})
        notes = [f"Dropout of {share:g} was on: the weights shown are those before it." for share in shares]
        for reason, count in self._failures.items():
            notes.append(f"{count} attention calls could not be recorded: {reason}.")
        if self._rounded_to:
            notes.append(ROUNDED.format(dtype=self._rounded_to))
        if any(not call.has_vectors for call in self._calls):
            notes.append(WEIGHTS_ONLY)
        return (*notes, *(self._remarks if self._calls else ()))

    @property
    def failures(self) -> tuple[str, ...]:
        """Why calls could not be recorded; empty where all were."""
        return tuple(self._failures)

    @property
    def forward_pass(self) -> int:
        """The number of the pass that runs, from 0."""
        return max(self._forward_passes - 1, 0)

    def begin_pass(self) -> None:
        """Count a call of the watched module."""
        self._forward_passes += 1

    def add(self, call: WatchedCall) -> None:
        """Record an attention call."""
        self._calls.append(call)
        self._kinds[call.path] = call.kind

    def note_failure(self, reason: str) -> None:
        """Record that a call could not be recorded."""
        self._failures[reason] = self._failures.get(reason, 0) + 1

    def note_rounding(self, dtype: str) -> None:
        """Record that unwatched a call would have taken a fused path, which rounds more. dtype: number format"""
        self._rounded_to = dtype

    def kind_of(self, path: str) -> str | None:
        """The kind of the last call that a module made; None where it made none."""
        return self._kinds.get(path)

    def _nothing_seen(self) -> str:
        """Why there is no attention to show, and what to do."""
        reasons: list[Any] = [f"{reason[0].upper()}{reason[1:]}." for reason in self._failures]
        if not self._forward_passes and not reasons:
            reasons.append("It was not called inside the block, or not in this thread.")
        if self.calls_elsewhere:
            reasons.append(
                f"{self.calls_elsewhere} attention calls were made by other modules: watch the module that holds them."
            )
        return " ".join([f"No attention was seen in {self._name}.", *reasons, *self._remarks, SEEN])
