"""Sentences made from a run's numbers, ready for Markdown."""

from __future__ import annotations

import numpy as np

from model.measures import HeadSteps, special_mass
from model.trace import Attention, Trace
from viz.text import plain, say


def row_reading(trace: Trace, attention: Attention, layer: int, head: int, row: int) -> str:
    """One sentence on where a query looks, and one on what the model is about to choose where it chooses something."""
    weights = attention.weights(layer)[head, row]
    allowed = np.flatnonzero(attention.mask(layer)[row])
    best = allowed[np.argsort(-weights[allowed], kind="stable")][:3]
    best = best[: max(int((weights[best] >= 0.005).sum()), 1)]
    keys = [say("reading.key", key=plain(attention.key_tokens[k]), weight=f"{weights[k]:.0%}") for k in best]
    query = plain(attention.query_tokens[row])
    sentence = say("reading.row", layer=layer, head=head, query=query, keys=", ".join(keys))
    if trace.predicted is None or attention.queries is not trace.tokens["decoder"]:
        return sentence
    return f"{sentence} {say('reading.next', query=query, next=plain(trace.predicted[row]))}"


def hidden_specials(attention: Attention, layer: int, head: int) -> str:
    """How much attention the hidden special tokens took."""
    return say("reading.hidden", share=f"{special_mass(attention, layer, head):.0%}")


def forbidden(attention: Attention, layer: int) -> str:
    """What a mask forbids, in words and cells."""
    allowed = attention.mask(layer)
    cells, total = int((~allowed).sum()), allowed.size
    if not cells:
        return say("masks.forbids_nothing", total=total)
    causal = allowed.shape[0] == allowed.shape[1] and not np.triu(allowed, 1).any()
    return say("masks.forbids_later" if causal else "masks.forbids_padding", cells=cells, total=total)


def arithmetic(steps: HeadSteps, key: int) -> tuple[str, ...]:
    """One cell of a head worked out, a line a step, as LaTeX."""
    dim = len(steps.query)
    terms = " + ".join(rf"({steps.query[i]:.3f} \times {steps.keys[key, i]:.3f})" for i in range(min(2, dim)))
    dot = rf"q \cdot k = {terms} + \dots = {steps.dots[key]:.4f}"
    divided = rf"\frac{{{steps.dots[key]:.4f}}}{{\sqrt{{{dim}}}}}"
    scaled = rf"\frac{{q \cdot k}}{{\sqrt{{d_k}}}} = {divided} = {steps.scaled[key]:.4f}"
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
