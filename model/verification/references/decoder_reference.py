"""Verification of a from-scratch decoder's trace against PyTorch's own attention function with the same weights."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from model.attention.edit_plan import EditPlan, apply_edits
from model.attention.record import record
from model.trace.boxes.stack import ATTENTION, FEED_FORWARD
from model.trace.check import Check, Probe
from model.trace.trace import Trace
from model.verification.comparison import Comparison
from model.verification.float64 import Judge
from model.verification.references.embedding import embed
from model.verification.references.left_out import layer_norm, without
from model.verification.references.self_attention import feed_forward, self_attention
from model.verification.references.stock_runs import verdict, verify_probe
from model.verification.references.stock_transformer import StockRun
from model.verification.words import Vocabulary, add_words

HOW = "torch.nn.functional.multi_head_attention_forward with the same weights, run on the same tokens"


@torch.no_grad()
def run_reference(ours: Any, ids: Tensor, plan: EditPlan | None = None, dtype: torch.dtype = torch.float32) -> StockRun:
    """One pass by PyTorch's own functions.

    Args:
        ours: a `model.translator.decoder_only.DecoderOnly`; ids: int64 [batch, token].
        plan: edits, applied through the reference's own weights and masks; dtype: the number format it runs in.
    """
    count, run = ids.shape[1], StockRun()
    x = embed(ours, ids, plan, dtype)
    causal = torch.ones(1, 1, count, count, dtype=torch.bool, device=ids.device).tril()
    run.states["decoder"].append(x)
    for number, layer in enumerate(ours.decoder):
        attended, fed = (("decoder", number, kind) for kind in (ATTENTION, FEED_FORWARD))
        found = self_attention(layer.self_attention, x, causal, ("decoder", number), plan, run)
        x = layer_norm(layer.norm_1, x + without(plan, attended, found), plan, attended)
        found = feed_forward(layer.feed_forward, x, "decoder", run)
        x = layer_norm(layer.norm_2, x + without(plan, fed, found), plan, fed)
        run.states["decoder"].append(x)
    run.logits = F.linear(x, ours.embedding.weight.to(dtype))
    return run


def verify(
    ours: Any,
    vocabulary: Vocabulary,
    ids: Tensor,
    row: int,
    plan: EditPlan | None,
    output: Sequence[int] | None,
    written: bool,
    trace: Trace,
    probe: Probe | None = None,
) -> Check:
    """The verdict on one input of a traced batch, or on a probe of it.

    Args:
        vocabulary: reads ids as words.
        ids: int64 [batch, token]; row: index in the batch; plan: the edits of the traced pass.
        output: ids of the output, None where there is none; written: whether the model chose them itself.
        trace: what is judged; probe: what is judged instead.
    """
    dtype = next(ours.parameters()).dtype

    def run_stock(edits: EditPlan | None, precision: torch.dtype) -> StockRun:
        return run_reference(ours, ids, edits, precision)

    if probe is not None:
        return verify_probe(trace, dtype, row, run_stock, plan, probe, HOW, head=ours.embedding.weight.float())

    def add_more(comparison: Comparison, logits: Tensor) -> None:
        fed, chosen = ids[row, : comparison.length("decoder")].tolist(), None
        if written and output:
            # No token sees a later one, so what was written may follow; edits name places in a text of another length.
            chosen = [*output] if plan is None else [*output[:1]]
            longer = torch.tensor([[*fed, *chosen[:-1]]], device=ids.device)
            logits = logits[: len(fed)] if len(chosen) < 2 else run_reference(ours, longer).logits[0]
        add_words(comparison, trace, vocabulary, {"decoder": ids[row].tolist()}, logits, chosen, output)

    def run_ours(judge: Judge) -> None:
        module = copy.deepcopy(ours).double()
        with torch.inference_mode(), apply_edits(plan), record() as recorded:
            states = module.decode(ids)
            logits = module.project(states[-1])
        for kind, layer in recorded.calls:
            call = recorded.call(kind, layer, row)
            judge.add_layer(kind, layer, call.weights_tensor(), (call.query, call.key, call.value))
        judge.add_states("decoder", [one[row] for one in states])
        judge.add_logits(logits[row])

    return verdict(trace, dtype, row, run_stock, plan, add_more, run_ours, HOW)
