"""Sentences that state the numbers of a trace, as Markdown in the language of the session."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from model.measures.heads.head_characters import Character
from model.measures.heads.head_roles import special_mass
from model.measures.heads.head_steps import HeadSteps
from model.trace.attention import Attention
from model.trace.boxes.stack import END_PARTS
from model.trace.edits import Edits, most_specific
from model.trace.trace import Trace
from viz.language.boxes import box_name
from viz.language.messages import escape_markdown, say


def row_reading(trace: Trace, attention: Attention, layer: int, head: int, row: int) -> str:
    """Sentence on the keys with the largest weights of one query, and on the predicted token where there is one.

    Args:
        trace: the run of `attention`.
        attention: one kind of attention.
        layer, head: which head, counted from 0.
        row: position of the query.
    """
    weights = attention.pooled(layer, head, [row], range(len(attention.keys)))[0]
    allowed = np.flatnonzero(~np.isnan(weights))
    best = allowed[np.argsort(-weights[allowed], kind="stable")][:3]
    best = best[: max(int((weights[best] >= 0.005).sum()), 1)]
    keys = [say("reading.key", key=escape_markdown(attention.keys.name(k)), weight=f"{weights[k]:.0%}") for k in best]
    query = escape_markdown(attention.queries.name(row))
    sentence = say("reading.row", layer=attention.layer_index[layer], head=head, query=query, keys=", ".join(keys))
    if trace.predicted is None or attention.queries is not trace.tokens["decoder"]:  # merged words have no prediction
        return sentence
    return f"{sentence} {say('reading.next', query=query, next=escape_markdown(trace.predicted[row]))}"


def next_tokens(trace: Trace, attention: Attention, queries: Sequence[int]) -> list[str] | None:
    """The token predicted after each of some queries; None where these queries predict nothing."""
    if trace.predicted is None or attention.queries is not trace.tokens.get("decoder"):
        return None
    return [trace.predicted[query] for query in queries]


def row_templates() -> dict[str, str]:
    """The sentence of `row_reading` with placeholders, for the browser, which fills in the row that is pointed at.

    Two asterisks begin and end bold type, as in Markdown.
    """
    row = say("reading.row", layer="{layer}", head="{head}", query="{query}", keys="{keys}")
    following = say("reading.next", query="{query}", next="{next}")
    return {"row": row, "next": following, "key": say("reading.key", key="{key}", weight="{weight}"), "percent": "{n}%"}


def special_mass_reading(attention: Attention, layer: int, head: int) -> str:
    """Sentence on the share of attention that special tokens have, while they are hidden."""
    return say("reading.hidden", share=f"{special_mass(attention, layer, head):.0%}")


def character_label(character: Character) -> str:
    """What heads of a character do, such as "rests on </s>"."""
    name = "rests_all" if character.name == "rests" and not character.token else character.name
    return say(f"characters.{name}", token=character.token)


def head_character(characters: Sequence[Character], layer: int, head: int) -> str:
    """What a head does in a sentence, with its share, such as "rests on </s> 69 %"; "" where nothing can be named."""
    named = [one for one in characters if one.named[layer, head]]
    if not named:
        return ""
    # One special token says more than all of them together, and anything more than that a head spreads.
    best = max(
        named, key=lambda one: (one.name != "spreads", one.name != "rests" or bool(one.token), one.share[layer, head])
    )
    return say("characters.share", what=character_label(best), share=f"{best.share[layer, head]:.0%}")


def map_caption(attention: Attention, layer: int, specials: bool, row: int) -> str:
    """Caption of a head's heat map.

    Args:
        attention: one kind of attention of a trace.
        layer: which layer, counted from 0.
        specials: whether special tokens are drawn.
        row: position of a query.
    """
    sums_to_one = np.allclose(attention.row(layer, row).sum(-1), 1, atol=1e-3)
    sums = say(("heads.rows_sum" if sums_to_one else "heads.rows_sum_less") if specials else "heads.rows_sum_hidden")
    return f"{sums} {say('heads.map_look')}"


def mask_reading(attention: Attention, layer: int, edits: Edits) -> str:
    """Sentence on how many cells a mask forbids, and for which reasons.

    Args:
        attention: one kind of attention of a trace.
        layer: which layer, counted from 0.
        edits: of the run.
    """
    allowed, number = attention.mask(layer), attention.layer_index[layer]
    shape = most_specific(edits.masks, attention.kind, number) or ""
    ahead = ~np.tri(*allowed.shape).astype(bool)
    reasons = {
        "padding": np.broadcast_to([text == "<pad>" for text in attention.key_tokens], allowed.shape),
        "later": ahead & (shape == "causal" or (attention.kind == "decoder" and shape != "full")),
        "blocked": _blocked_cells(edits, attention.kind, number, allowed.shape),
        "block" if shape.startswith("block") else "far": np.ones_like(allowed),
    }
    unexplained, sentences = ~allowed, []
    for name, cells in reasons.items():
        if count := int((unexplained & cells).sum()):
            sentences.append(say(f"masks.forbids_{name}", cells=count))
        unexplained = unexplained & ~cells
    reading = say("masks.forbids", total=allowed.size, reasons="; ".join(sentences or [say("masks.forbids_nothing")]))
    opened = [cell for cell in edits.cells(attention.kind, number) if cell[2]]
    return f"{reading} {say('masks.opened', cells=len(opened))}" if opened else reading


def _blocked_cells(edits: Edits, kind: str, layer: int, shape: tuple[int, ...]) -> np.ndarray:
    """Cells that the user blocked in a layer. bool [query, key]; shape: of the mask."""
    cells = np.zeros(shape, bool)
    for query, key, allowed in edits.cells(kind, layer):
        if key < shape[1] and (query is None or query < shape[0]):
            cells[slice(None) if query is None else query, key] = not allowed
    return cells


def weights_look(steps: HeadSteps) -> str:
    """What the weights of one query add up to, which is less than 100 % where a sink takes a share."""
    return say("inside.weights_look") if steps.sink is None else say("inside.weights_sink_look")


def weight_arithmetic(steps: HeadSteps, key: int) -> tuple[str, ...]:
    """Computation of one attention weight as LaTeX: dot product, scaled score, softmax.

    Args:
        steps: the computation of one head for one query.
        key: index of the key.
    """
    dim = len(steps.query)
    terms = [rf"({steps.query[i]:.3f} \times {steps.keys[key, i]:.3f})" for i in range(min(2, dim))]
    lines = rf"{terms[0]} \\ &+ {terms[-1]} + \dots \\ &= {steps.dots[key]:.4f}"
    dot = rf"\begin{{aligned}} q \cdot k &= {lines} \end{{aligned}}"
    if abs(steps.scale - dim**-0.5) < 1e-6:
        scaled = rf"\frac{{q \cdot k}}{{\sqrt{{d_k}}}} = \frac{{{steps.dots[key]:.4f}}}{{\sqrt{{{dim}}}}}"
    else:  # some families have another scale, and T5 has none
        scaled = rf"{steps.scale:.4g} \times {steps.dots[key]:.4f}"
    if steps.softcap is not None:
        scaled = rf"{steps.softcap:g} \tanh\left({scaled} / {steps.softcap:g}\right)"
    if steps.bias.any():
        scaled += rf" + {steps.bias[key]:.4f}"
    scaled += rf" = {steps.scaled[key]:.4f}"
    if not steps.allowed[key]:
        return dot, scaled, rf"{steps.scaled[key]:.4f} + (-\infty) = -\infty, \qquad e^{{-\infty}} = 0"
    # The largest score is subtracted, as in the softmax itself: e^90 overflows float32.
    top = float(steps.scores[steps.allowed].max())
    exponentials = np.exp(steps.scores[steps.allowed].astype(np.float64) - top)
    exponential = float(np.exp(np.float64(steps.scores[key]) - top))
    total, rest = float(exponentials.sum()), ""
    if steps.sink is not None:
        total, rest = total + float(np.exp(steps.sink - top)), rf" + e^{{{steps.sink:.4f} - {top:.4f}}}"
    softmax = (
        rf"\frac{{e^{{{steps.scores[key]:.4f} - {top:.4f}}}}}{{\sum_j e^{{s_j - {top:.4f}}}{rest}}}"
        rf" = \frac{{{exponential:.4f}}}{{{total:.4f}}} = {exponential / total:.4f}"
    )
    return dot, scaled, softmax


def neuron_reading(neurons: np.ndarray, layer: int) -> str:
    """Sentence on how many feed-forward neurons of a layer are active, and on the most active one.

    Where neurons may be negative, none is inactive: then on how much of their size the strongest tenth has.

    Args:
        neurons: activations. [layer, token, d_ff]
        layer: which layer, counted from 0.
    """
    activations = neurons[layer]
    if (activations < 0).any():
        sizes = np.sort(np.abs(activations).mean(axis=0))
        strongest = sizes[-max(len(sizes) // 10, 1) :]
        return say(
            "layers.firing_signed",
            layer=layer,
            share=f"{strongest.sum() / sizes.sum():.0%}",
            count=len(sizes),
            busiest=int(np.abs(activations).mean(axis=0).argmax()),
            mean=f"{sizes[-1]:.2f}",
        )
    most_active = activations.mean(axis=0).argmax()
    return say(
        "layers.firing",
        layer=layer,
        share=f"{(activations > 0).mean():.0%}",
        count=activations.shape[1],
        silent=int((activations.max(axis=0) <= 0).sum()),
        busiest=int(most_active),
        mean=f"{activations[:, most_active].mean():.2f}",
    )


def edit_reading(name: str, where: tuple[Any, ...], value: Any) -> str:
    """Sentence on one edit.

    Args:
        name: field of `Edits`, such as "heads".
        where: key of the field, such as (kind, layer, head).
        value: of the edit.
    """
    if name == "positions":
        return say(f"change.said_positions_{value}")
    kind = say(f"kinds.{where[0]}")
    if name == "temperature":
        return say("change.said_temperature", kind=kind, value=f"{value:g}")
    if name in ("blocked", "allowed"):
        layer = " " + say("change.in_layer", layer=where[3]) if len(where) > 3 else ""
        who = ("nobody" if name == "blocked" else "all") if where[1] is None else "one"
        return say(f"change.said_{name}_{who}", kind=kind, query=where[1], key=where[2], layer=layer)
    layer = say("change.in_every_layer") if where[1] is None else say("change.in_layer", layer=where[1])
    if name == "masks":
        shape = value.rstrip("0123456789")
        return say(f"change.said_{shape}", kind=kind, layer=layer, size=value.removeprefix(shape))
    if name == "blocks" and where[2] in END_PARTS:
        return say("change.said_without_end", stack=kind, box=box_name(where[2], where[0]))
    if name == "blocks":
        return say("change.said_without", stack=kind, box=box_name(where[2], where[0]), layer=layer)
    head = say("change.every_head") if where[2] is None else say("change.head", head=where[2])
    if name == "patched":
        return say("change.said_patched", kind=kind, layer=layer, head=head, text=escape_markdown(value[0]))
    which = "uniform" if name == "uniform" else {0: "silenced", 1: "exempt"}.get(value, "factor")
    factor = "" if value is None else f"{value:g}"
    return say(f"change.said_{which}", kind=kind, layer=layer, head=head, factor=factor)
