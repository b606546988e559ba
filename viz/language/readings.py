"""Sentences made from a run's numbers, ready for Markdown."""

from __future__ import annotations

from typing import Any

import numpy as np

from model.measures.head_roles import special_mass
from model.measures.head_steps import HeadSteps
from model.trace.attention import Attention
from model.trace.edits import Edits, named
from model.trace.trace import Trace
from viz.language.messages import plain, say


def row_reading(trace: Trace, attention: Attention, layer: int, head: int, row: int) -> str:
    """One sentence on where a query looks, and one on what the model is about to choose where it chooses something."""
    weights = attention.drawn(layer, head, [row], range(len(attention.keys)))[0]
    allowed = np.flatnonzero(~np.isnan(weights))
    best = allowed[np.argsort(-weights[allowed], kind="stable")][:3]
    best = best[: max(int((weights[best] >= 0.005).sum()), 1)]
    keys = [say("reading.key", key=plain(attention.keys.name(k)), weight=f"{weights[k]:.0%}") for k in best]
    query = plain(attention.queries.name(row))
    sentence = say("reading.row", layer=layer, head=head, query=query, keys=", ".join(keys))
    if trace.predicted is None or attention.queries is not trace.tokens["decoder"]:  # merged words choose nothing
        return sentence
    return f"{sentence} {say('reading.next', query=query, next=plain(trace.predicted[row]))}"


def hidden_specials(attention: Attention, layer: int, head: int) -> str:
    """How much attention the hidden special tokens took."""
    return say("reading.hidden", share=f"{special_mass(attention, layer, head):.0%}")


def map_look(attention: Attention, layer: int, specials: bool, row: int) -> str:
    """What to look for in a head's map, as it is drawn."""
    whole = np.allclose(attention.row(layer, row).sum(-1), 1, atol=1e-3)
    sums = say(("heads.rows_sum" if whole else "heads.rows_sum_less") if specials else "heads.rows_sum_hidden")
    boxed = say("heads.boxed") if specials or not attention.queries.special[row] else ""
    return f"{sums} {say('heads.map_look')} {boxed}".strip()


def forbidden(attention: Attention, layer: int, edits: Edits) -> str:
    """What a mask forbids, in words and cells; edits: what was changed in the run."""
    allowed = attention.mask(layer)
    shape = named(edits.masks, attention.kind, layer) or ""
    ahead = ~np.tri(*allowed.shape).astype(bool)
    reasons = {
        "padding": np.broadcast_to([text == "<pad>" for text in attention.key_tokens], allowed.shape),
        "later": ahead & (shape == "causal" or (attention.kind == "decoder" and shape != "full")),
        "blocked": _by_hand(edits, attention.kind, layer, allowed.shape),
        "block" if shape.startswith("block") else "far": np.ones_like(allowed),
    }
    left, said = ~allowed, []
    for name, cells in reasons.items():
        if count := int((left & cells).sum()):
            said.append(say(f"masks.forbids_{name}", cells=count))
        left = left & ~cells
    return say("masks.forbids", total=allowed.size, reasons="; ".join(said or [say("masks.forbids_nothing")]))


def _by_hand(edits: Edits, kind: str, layer: int, shape: tuple[int, ...]) -> np.ndarray:
    """Where a layer's cells were forbidden one by one. bool [query, key]"""
    cells = np.zeros(shape, bool)
    for query, key in edits.cells(kind, layer):
        if key < shape[1] and (query is None or query < shape[0]):
            cells[slice(None) if query is None else query, key] = True
    return cells


def arithmetic(steps: HeadSteps, key: int) -> tuple[str, ...]:
    """One cell of a head worked out, a line a step, as LaTeX."""
    dim = len(steps.query)
    terms = [rf"({steps.query[i]:.3f} \times {steps.keys[key, i]:.3f})" for i in range(min(2, dim))]
    lines = rf"{terms[0]} \\ &+ {terms[-1]} + \dots \\ &= {steps.dots[key]:.4f}"
    dot = rf"\begin{{aligned}} q \cdot k &= {lines} \end{{aligned}}"
    if abs(steps.scale - dim**-0.5) < 1e-6:
        scaled = rf"\frac{{q \cdot k}}{{\sqrt{{d_k}}}} = \frac{{{steps.dots[key]:.4f}}}{{\sqrt{{{dim}}}}}"
    else:  # some families scale their queries otherwise, T5 not at all
        scaled = rf"{steps.scale:.4g} \times {steps.dots[key]:.4f}"
    if steps.bias.any():
        scaled += rf" + {steps.bias[key]:.4f}"
    scaled += rf" = {steps.scaled[key]:.4f}"
    if not steps.allowed[key]:
        return dot, scaled, rf"{steps.scaled[key]:.4f} + (-\infty) = -\infty, \qquad e^{{-\infty}} = 0"
    # Shifted by the largest score, as the softmax is computed: e^90 would overflow on screen and in float32.
    top = float(steps.scores[steps.allowed].max())
    shares = np.exp(steps.scores[steps.allowed].astype(np.float64) - top)
    mine = float(np.exp(np.float64(steps.scores[key]) - top))
    softmax = (
        rf"\frac{{e^{{{steps.scores[key]:.4f} - {top:.4f}}}}}{{\sum_j e^{{s_j - {top:.4f}}}}}"
        rf" = \frac{{{mine:.4f}}}{{{shares.sum():.4f}}} = {mine / shares.sum():.4f}"
    )
    return dot, scaled, softmax


def firing(neurons: np.ndarray, layer: int) -> str:
    """How many feed-forward neurons fire, and the busiest. neurons: [layer, token, d_ff]"""
    here = neurons[layer]
    busiest = here.mean(axis=0).argmax()
    return say(
        "layers.firing",
        layer=layer,
        share=f"{(here > 0).mean():.0%}",
        count=here.shape[1],
        silent=int((here.max(axis=0) <= 0).sum()),
        busiest=int(busiest),
        mean=f"{here[:, busiest].mean():.2f}",
    )


def change(name: str, where: tuple[Any, ...], value: Any) -> str:
    """One of an edit's `items` in words."""
    if name == "positions":
        return say(f"change.said_positions_{value}")
    kind = say(f"kinds.{where[0]}")
    if name == "temperature":
        return say("change.said_temperature", kind=kind, value=f"{value:g}")
    if name == "blocked":
        layer = " " + say("change.in_layer", layer=where[3]) if len(where) > 3 else ""
        who = "nobody" if where[1] is None else "one"
        return say(f"change.said_blocked_{who}", kind=kind, query=where[1], key=where[2], layer=layer)
    layer = say("change.in_every_layer") if where[1] is None else say("change.in_layer", layer=where[1])
    if name == "masks":
        shape = value.rstrip("0123456789")
        return say(f"change.said_{shape}", kind=kind, layer=layer, size=value.removeprefix(shape))
    head = say("change.every_head") if where[2] is None else say("change.head", head=where[2])
    if name == "patched":
        return say("change.said_patched", kind=kind, layer=layer, head=head, text=plain(value[0]))
    which = "uniform" if name == "uniform" else {0: "silenced", 1: "exempt"}.get(value, "factor")
    factor = "" if value is None else f"{value:g}"
    return say(f"change.said_{which}", kind=kind, layer=layer, head=head, factor=factor)
