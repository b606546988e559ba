"""Verification of a Hugging Face trace against the library's own eager attention: same weights, same tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from model.arrays.lazy import DeferredMapping
from model.arrays.types import Array
from model.trace.check import Check
from model.trace.trace import Trace
from model.turns import rest
from model.verification.comparison import Comparison, Vectors
from model.verification.float64 import Judge, settle
from model.verification.position_reference import add_positions
from model.verification.tolerances import limits
from model.verification.words import Vocabulary, add_picture, add_words, share_of_differences

HOW = "transformers' own eager attention with the same weights, run on the same tokens"
REPETITION = "a second run of the family's own code, which shows its weights only: equal runs, not an independent proof"
# A last digit that decides which experts read a token did so in every third of such runs.
NOISY_RUNS = 8
# Receives kind, layer, weights, queries, keys and values where they are shown, [batch, head, …], and which layer of
# the model it is.
OnLayer = Callable[[str, int, Tensor, Vectors | None, int | None], None]
# Receives the stack, the layer among those that have neurons, and the neurons. [token, d_ff]
OnNeurons = Callable[[str, int, Tensor], None]
RunPass = Callable[[OnLayer, OnNeurons], Any]


@dataclass(frozen=True, eq=False)
class Subject:
    """The run that is verified, and how to repeat it.

    Attributes:
        module: the model that ran; vocabulary: reads its ids as words.
        run_eager: the library's output object of a pass with its own attention; hands each layer over, and the neurons
            of the text of those layers whose neurons the trace has.
        run_in_float64: the same in float64, with the app's own attention if told so; None where the model is too large
            for that.
        read_states: stack -> hidden states of each depth, from the library's output object.
        read_answer: what a pass answers, from the same.
        read_classes: labels and probabilities of one text, from its answer.
        answer: what the traced pass answered, where the trace has no logits. [token, ...]
        row: index of the sentence in the batch.
        fed: stack -> the ids that were read, with padding.
        written: ids that the model wrote itself, as far as the repeated pass shows; None where they were forced.
        further: answers of the independent run before each of them, where they were not fed behind the trace's tokens.
            [id, vocab]
        output: ids of the output; None where it has none.
        continued: how many of them were fed behind the trace's tokens in the repeated pass.
        sinks: True where rows may sum to less than 1.
        independent: False where both runs are the same code, as in families that return only their weights.
    """

    module: Any
    vocabulary: Vocabulary | None
    run_eager: RunPass
    run_in_float64: Callable[[bool, OnLayer, OnNeurons], Any] | None
    read_states: Callable[[Any], Mapping[str, Sequence[Tensor]]]
    read_answer: Callable[[Any], Tensor]
    read_classes: Callable[[Tensor], list[tuple[str, float]] | None]
    answer: Tensor
    row: int
    fed: Mapping[str, Sequence[int]]
    written: Sequence[int] | None
    further: Tensor | None
    output: Sequence[int] | None
    continued: int
    sinks: bool
    independent: bool


def verify(subject: Subject, trace: Trace) -> Check:
    """The verdict on the trace of one sentence of a batch.

    Raises:
        ValueError: the library returned no weights of some layer.
    """
    dtype = subject.answer.dtype
    new_comparison = partial(Comparison, trace, limits(dtype), sinks=subject.sinks, answer=subject.answer)
    comparison = new_comparison()
    answer = compare(subject, trace, subject.run_eager, comparison)
    _add_words(subject, trace, comparison, answer)
    add_positions(comparison, trace, subject.module)
    for stack, neurons in known_neurons(trace).items():
        if not comparison.has_neurons(stack, len(neurons)):
            comparison.leave_out("neurons")
    check = comparison.check(HOW if subject.independent else REPETITION, independent=subject.independent)
    if check.ok or subject.run_in_float64 is None:
        return check
    words_differ = any(part.name == "words" for part in check.wrong_parts)
    words = partial(_add_words, subject, trace, answer=answer) if words_differ else None
    del answer  # of a long text 0.1 GB, which the runs in float64 need
    stock, stock_in_float64, ours_in_float64 = (
        partial(_hand_over, subject, trace, run)
        for run in (subject.run_eager, partial(subject.run_in_float64, False), partial(subject.run_in_float64, True))
    )
    return settle(check, new_comparison, stock, stock_in_float64, ours_in_float64, words, NOISY_RUNS)


def compare(subject: Subject, trace: Trace, run: RunPass, judge: Judge) -> Tensor:
    """Hand one sentence of a pass to what compares it; returns its answer. [token, ...]"""
    row, fewer = subject.row, subject.continued
    numbers: dict[str, list[int]] = {}

    def add_layer(kind: str, layer: int, weights: Tensor, vectors: Vectors | None, number: int | None) -> None:
        rest()  # who waits for a page goes first
        if number is not None:
            numbers.setdefault(kind, []).append(number)
        own: Any = None if vectors is None else tuple(_shortened(one[row], fewer, -2) for one in vectors)
        judge.add_layer(kind, layer, _shortened(_shortened(weights[row], fewer, -2), fewer, -1), own)

    def add_neurons(stack: str, layer: int, neurons: Tensor) -> None:
        judge.add_neurons(stack, layer, _shortened(neurons, fewer, -2))

    result = run(add_layer, add_neurons)
    for kind, found in numbers.items():  # layers that share one module, or nest, are counted
        judge.add_layer_index(kind, found if found == sorted(set(found)) else range(len(found)))
    for stack, states in subject.read_states(result).items():
        judge.add_states(stack, [_shortened(one[row], fewer, -2) for one in states])
    answer = subject.read_answer(result)[row]
    tokens = list(trace.tokens)[-1]
    count = len(trace.ids.get(tokens, ())) or len(trace.tokens[tokens])
    judge.add_logits(answer[:count])
    return answer


def _hand_over(subject: Subject, trace: Trace, run: RunPass, judge: Judge) -> None:
    """As `compare`, without the answer."""
    compare(subject, trace, run, judge)


def known_neurons(trace: Trace) -> Mapping[str, Array]:
    """The neurons of a trace that were computed so far, by stack; those that nobody asked for take a pass."""
    return trace.neurons.computed if isinstance(trace.neurons, DeferredMapping) else trace.neurons


def _add_words(subject: Subject, trace: Trace, comparison: Comparison, answer: Tensor) -> None:
    """Compare what the model answers in words: tokens, output and classes. answer: of the independent run"""
    if subject.vocabulary is None:
        add_picture(comparison, trace, subject.read_classes(answer))
        return
    words = answer if trace.predicted is not None else None
    if words is not None and subject.further is not None:
        words = torch.cat([words[: comparison.length("decoder") - 1], subject.further])
    add_words(comparison, trace, subject.vocabulary, subject.fed, words, subject.written, subject.output)
    expected = subject.read_classes(answer)
    if expected is not None or trace.classes is not None:
        labels = [name for name, _ in trace.classes or ()], [name for name, _ in expected or ()]
        comparison.add("words", share_of_differences(*labels), 0.0, "classes")
        for (_, one), (_, other) in zip(trace.classes or (), expected or (), strict=False):
            comparison.add("logits", abs(one - other), comparison.limits.weight(len(trace.hidden_states)), "classes")


def _shortened(numbers: Tensor, fewer: int, axis: int) -> Tensor:
    """Without the last positions along an axis, which stand for tokens that the trace does not have."""
    return numbers.narrow(axis, 0, numbers.shape[axis] - fewer) if fewer else numbers
