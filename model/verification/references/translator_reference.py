"""Verification of a translator's trace against PyTorch's own `nn.Transformer` with the same weights."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from model.attention.edit_plan import EditPlan, apply_edits
from model.attention.record import record
from model.trace.check import Check, Probe
from model.trace.trace import Trace
from model.verification.comparison import Comparison
from model.verification.float64 import Judge
from model.verification.references.stock_runs import verdict, verify_probe
from model.verification.references.stock_transformer import EncoderDecoder, StockRun, run_reference
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
    dtype = ours.embedding.weight.dtype

    def run_stock(edits: EditPlan | None, precision: torch.dtype) -> StockRun:
        return run_reference(ours, source, target, edits, precision)

    if probe is not None:
        return verify_probe(trace, dtype, row, run_stock, plan, probe, HOW, head=ours.embedding.weight.float())

    def add_more(comparison: Comparison, logits: Tensor) -> None:
        fed = {"encoder": source[row].tolist(), "decoder": target[row].tolist()}
        add_words(comparison, trace, vocabulary, fed, logits[: comparison.length("decoder")], written)

    return verdict(trace, dtype, row, run_stock, plan, add_more, _run_ours(ours, source, target, row, plan), HOW)


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
