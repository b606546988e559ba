"""The verdict on a trace of a from-scratch model, or on a probe of it, from reference runs that are made anew.

What differs from model to model is how the reference runs, and which words are shown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from model.attention.edit_plan import EditPlan
from model.trace.check import Check, Probe
from model.trace.edits import Edits
from model.trace.trace import Trace
from model.verification.comparison import Comparison
from model.verification.float64 import Judge, Run, settle
from model.verification.probes import add_effect, add_lens, heads_to_repeat
from model.verification.references.stock_transformer import StockRun
from model.verification.tolerances import limits

RunStock = Callable[[EditPlan | None, torch.dtype], StockRun]  # the reference run of a batch


def verdict(
    trace: Trace,
    dtype: torch.dtype,
    row: int,
    run_stock: RunStock,
    plan: EditPlan | None,
    add_more: Callable[[Comparison, Tensor], None],
    run_ours: Run,
    how: str,
) -> Check:
    """The verdict on a trace, from a reference run of the same input.

    Args:
        dtype: the number format of the traced pass; row: the input's place in the batch; plan: the edits of the pass.
        add_more: compares what is shown as words, from the logits of the reference run for this input.
        run_ours: hands over a pass of the traced model in float64.
    """
    new_comparison, run = partial(Comparison, trace, limits(dtype)), run_stock(plan, torch.float32)
    comparison = new_comparison()
    compare(run, row, comparison)
    add_more(comparison, run.logits[row])
    check = comparison.check(how)
    if check.ok:
        return check

    def stock_in(precision: torch.dtype, judge: Judge) -> None:
        compare(run if precision == torch.float32 else run_stock(plan, precision), row, judge)

    # In the format of the traced pass: what it rounds away is what the reference run loses in it, too.
    runs = partial(stock_in, dtype), partial(stock_in, torch.float64)
    return settle(check, new_comparison, *runs, run_ours, lambda again: add_more(again, run.logits[row]))


def compare(run: StockRun, row: int, judge: Judge) -> None:
    """Hand one input of an independent run to what compares it."""
    for (kind, layer), weights in run.weights.items():
        query, key, value = run.vectors[kind, layer]
        judge.add_layer(kind, layer, weights[row], (query[row], key[row], value[row]))
    for stack in (name for name, states in run.states.items() if states):
        judge.add_states(stack, [one[row] for one in run.states[stack]])
        for layer, neurons in enumerate(run.neurons[stack]):
            judge.add_neurons(stack, layer, neurons[row])
    for kind in dict.fromkeys(kind for kind, _ in run.weights):
        judge.add_layer_index(kind, range(sum(one == kind for one, _ in run.weights)))
    judge.add_logits(run.logits[row])


def verify_probe(
    trace: Trace,
    dtype: torch.dtype,
    row: int,
    run_stock: RunStock,
    plan: EditPlan | None,
    probe: Probe,
    how: str,
    head: Tensor | None = None,
) -> Check:
    """The verdict on a probe of one input; arguments as for `verdict`.

    Args:
        head: vectors of the vocabulary that the states are compared with, where the model has a logit lens.
    """
    shown = trace if probe.neurons is None else replace(trace, neurons=dict(probe.neurons))
    comparison, run = Comparison(shown, limits(dtype)), run_stock(plan, torch.float32)
    if probe.lens is not None and head is not None:
        for depth, states in enumerate(run.states["decoder"]):
            add_lens(comparison, probe.lens, depth, states[row] @ head.T)
    if probe.effects is not None:
        for place in heads_to_repeat(probe.effects):
            silent = replace(plan or EditPlan(Edits()), silenced=[place] * len(run.logits))
            without = run_stock(silent, torch.float32).logits[row]
            found = float(probe.effects[place[0]][place[1:]])
            add_effect(comparison, place, found, run.logits[row], without, in_bits=probe.in_bits)
    for stack in probe.neurons or ():
        for layer, neurons in enumerate(run.neurons[stack]):
            comparison.add_neurons(stack, layer, neurons[row])
    return comparison.probe_check(how)
