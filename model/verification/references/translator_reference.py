"""Verification of a translator's trace against PyTorch's own `nn.Transformer` with the same weights."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from model.attention.edit_plan import EditPlan, apply_edits
from model.attention.record import record
from model.trace.check import Check, Probe
from model.trace.edits import Edits
from model.trace.trace import Trace
from model.verification.comparison import Comparison
from model.verification.float64 import Judge, settle
from model.verification.probes import add_effect, add_lens, heads_to_repeat
from model.verification.references.stock_transformer import EncoderDecoder, StockRun, run_reference
from model.verification.tolerances import limits
from model.verification.words import Vocabulary, add_words

HOW = "torch.nn.Transformer with the same weights, run on the same tokens"


def verify(
    ours: EncoderDecoder,
    vocabulary: Vocabulary,
    source: Tensor,
    target: Tensor,
    row: int,
    plan: EditPlan | None,
    written: Sequence[int] | None,
    trace: Trace,
    probe: Probe | None = None,
) -> Check:
    """The verdict on the trace of one sentence of a batch, or on a probe of it.

    Args:
        vocabulary: reads ids as words.
        source: int64 [batch, s]; target: int64 [batch, t], as they were fed.
        row: index of the sentence in the batch; plan: the edits of the traced pass.
        written: ids that the model chose itself, one after the other; None where the output was forced.
        trace: what is judged; probe: what is judged instead.
    """
    if probe is not None:
        return _verify_probe(ours, source[row : row + 1], target[row : row + 1], plan, trace, probe)
    run, dtype = run_reference(ours, source, target, plan), ours.embedding.weight.dtype
    comparison = Comparison(trace, limits(dtype))
    compare(run, row, comparison)
    expected = run.logits[row][: comparison.length("decoder")]
    fed = {"encoder": source[row].tolist(), "decoder": target[row].tolist()}
    add_words(comparison, trace, vocabulary, fed, expected, written)
    check = comparison.check(HOW)
    if check.ok or dtype != torch.float32:
        return check

    def in_float64(judge: Judge) -> None:
        compare(run_reference(ours, source, target, plan, torch.float64), row, judge)

    return settle(
        check, Comparison(trace, limits(dtype)), lambda judge: compare(run, row, judge), in_float64,
        _run_ours(ours, source, target, row, plan),
    )  # fmt: skip


def compare(run: StockRun, row: int, judge: Judge) -> None:
    """Hand one sentence of an independent run to what compares it."""
    for (kind, layer), weights in run.weights.items():
        query, key, value = run.vectors[kind, layer]
        judge.add_layer(kind, layer, weights[row], (query[row], key[row], value[row]))
    for stack, states in run.states.items():
        judge.add_states(stack, [one[row] for one in states])
        for layer, neurons in enumerate(run.neurons[stack]):
            judge.add_neurons(stack, layer, neurons[row])
    for kind in ("encoder", "decoder", "cross"):
        judge.add_layer_index(kind, range(sum(one == kind for one, _ in run.weights)))
    judge.add_logits(run.logits[row])


def _run_ours(ours: Any, source: Tensor, target: Tensor, row: int, plan: EditPlan | None) -> Callable[[Judge], None]:
    """A function that hands over a pass of the traced model itself in float64."""

    def run(judge: Judge) -> None:
        module = copy.deepcopy(ours).double()
        with torch.inference_mode(), apply_edits(plan), record() as recorded:
            encoded, mask = module.encode(source)
            decoded = module.decode(target, encoded[-1], mask)
            logits = module.project(decoded[-1])
        for kind, layer in recorded.calls:
            call = recorded.call(kind, layer, row)
            vectors = call.query, call.key, call.value
            judge.add_layer(kind, layer, call.weights_tensor(), vectors)
        for stack, states in (("encoder", encoded), ("decoder", decoded)):
            judge.add_states(stack, [one[row] for one in states])
        judge.add_logits(logits[row])

    return run


def _verify_probe(
    ours: EncoderDecoder, source: Tensor, target: Tensor, plan: EditPlan | None, trace: Trace, probe: Probe
) -> Check:
    """The verdict on a probe of one sentence."""
    comparison, run = Comparison(trace, limits(ours.embedding.weight.dtype)), run_reference(ours, source, target, plan)
    if probe.lens is not None:
        weight = ours.embedding.weight.float()
        for depth, states in enumerate(run.states["decoder"]):
            add_lens(comparison, probe.lens, depth, states[0] @ weight.T)
    if probe.effects is not None:
        for kind, layer, head in heads_to_repeat(probe.effects):
            silent = replace(plan or EditPlan(Edits()), silenced=[(kind, layer, head)])
            without = run_reference(ours, source, target, silent).logits[0]
            found = probe.effects[kind][layer, head]
            add_effect(comparison, (kind, layer, head), found, run.logits[0], without, in_bits=probe.in_bits)
    return comparison.probe_check(HOW)
