"""What the figures of Output and What changes should show: chances, looks, the logit lens, effects."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import streamlit as st

from model.measures.probabilities import most_probable, probabilities, sampling_probabilities
from model.trace.trace import Trace
from viz.figures.reading_back import WRONG, cells_error
from viz.figures.reading_series import bars_error, words_error
from viz.figures.theme import escape
from viz.frame import model_access
from viz.frame.shown_run import results
from viz.language.messages import say
from viz.widgets.drawn_numbers import on_screen
from viz.widgets.drawn_numbers.beam_search import tree_error
from viz.widgets.drawn_numbers.probes import probe
from viz.widgets.drawn_numbers.taken_apart import credit_error, direct_error


def _labels(ids: Any, together: bool = False) -> tuple[str, ...]:
    return model_access.open_model().labels([int(one) for one in ids], together)


def _written(trace: Trace, figure: Any) -> float | None:
    """The chance of each token that was written."""
    if trace.logits is None:
        return None
    ids, first = trace.ids["decoder"], trace.prompt_length
    rows = probabilities(trace.logits[first - 1 : len(ids) - 1])
    written = ids[first:]
    return bars_error(figure, [rows[np.arange(len(rows)), list(written)]], _labels(written, together=True))


def _next_row(trace: Trace) -> int:
    return trace.prompt_length - 1 + int(st.session_state.get("step") or 0)


def _candidates(trace: Trace, figure: Any) -> float | None:
    """The likeliest next tokens of one step."""
    row = _next_row(trace)
    if trace.logits is None or row >= len(trace.logits):
        return WRONG
    if on_screen.chosen("method", "greedy") == "sample":
        how = on_screen.chosen("t", 1.0), int(on_screen.chosen("top_k", 0)), on_screen.chosen("top_p", 1.0)
        chances = sampling_probabilities(trace.logits[row], *how)
    else:
        chances = probabilities(trace.logits[row])
    return _ranked_error(figure, [chances], next(iter(trace.ids["decoder"][row + 1 :]), None))


def _ranked_error(figure: Any, chances: list[np.ndarray], extra: int | None = None) -> float:
    """The error of bars of the likeliest tokens. chances: of each series, whose sum ranks them; extra: a written one"""
    best = most_probable(np.sum(chances, axis=0), len(figure.data[0].y))
    if extra is not None and extra not in best:
        best[-1] = extra
    return bars_error(figure, [one[best] for one in chances], _labels(best), lying=True)


def _looks(trace: Trace, figure: Any) -> float:
    attention, (layer, head) = on_screen.joined_and_head(trace)
    row = _next_row(trace)
    weights = np.where(attention.mask(layer)[row], attention.row(layer, row)[head], np.nan)
    return bars_error(figure, [weights], attention.key_tokens)


def _every_look(trace: Trace, figure: Any) -> float:
    attention, _ = on_screen.joined_and_head(trace)
    row, layers = _next_row(trace), range(attention.num_layers)
    allowed = np.stack([attention.mask(layer)[row] for layer in layers])
    values = np.stack([attention.row(layer, row) for layer in layers])
    shown = np.where(allowed[:, None], values, np.nan)[:, :, allowed.any(0)]
    names = [f"{layer}/{head}" for layer in attention.layer_index for head in range(attention.num_heads)]
    return cells_error(figure, shown.reshape(len(names), -1), names)


def _who(trace: Trace, figure: Any) -> float:
    """Which heads and feed-forward layers wrote the token of a step."""
    row, ids = _next_row(trace), trace.ids["decoder"]
    if trace.logits is None or row >= len(trace.logits):
        return WRONG
    token = ids[row + 1] if row + 1 < len(ids) else int(np.argmax(trace.logits[row]))
    return credit_error(trace, figure, row, token, int(st.session_state["who_against"]))


def _lens(trace: Trace, figure: Any) -> float | None:
    found = probe("lens")
    if found is None or found.lens is None:
        return None
    stack, (ids, chances) = list(trace.tokens)[-1], found.lens
    tokens, count = trace.tokens[stack], np.asarray(figure.data[0].z).shape[1]
    first = int(on_screen.chosen(f"lens_first_{len(tokens)}", 0)) if count < len(tokens) else 0
    shown = slice(first, first + count)
    labels = _labels(ids[:, shown].ravel())
    words = [[escape(one) for one in labels[i * count : (i + 1) * count]] for i in range(len(ids))]
    return words_error(figure, chances[:, shown], words, [tokens.name(i) for i in range(first, first + count)])


def _guesses(trace: Trace, figure: Any) -> float | None:
    place = int(on_screen.chosen("guess", 0))
    logits = results.masked_token_logits(model_access.model_input(), place)
    return None if logits is None else _ranked_error(figure, [probabilities(logits)])


def _before_and_after(trace: Trace) -> tuple[Trace, Trace] | None:
    """The run without the changes, and the one with them on the same tokens."""
    runs = [run[-1] for run in st.session_state.ran]
    before = next((run for run in runs if not run.edits), None)
    after = next((run for run in runs if before and run.edits == trace.edits and run.ids == before.ids), None)
    return None if before is None or after is None or before.logits is None or after.logits is None else (before, after)


def _divergence(trace: Trace, figure: Any) -> float | None:
    pair = _before_and_after(trace)
    if pair is None:
        return None
    return bars_error(figure, [_bits(pair)], pair[0].tokens[list(pair[0].tokens)[-1]].texts)


def _bits(pair: tuple[Trace, Trace]) -> np.ndarray:
    """KL divergence of every row of the logits of two runs. [row]"""
    p, q = (probabilities(np.asarray(one.logits)) for one in pair)
    return np.where(p > 0, p * np.log2(np.where(p > 0, p, 1.0) / np.maximum(q, 1e-300)), 0.0).sum(-1).clip(0)


def _changed_candidates(trace: Trace, figure: Any) -> float | None:
    pair = _before_and_after(trace)
    if pair is None:
        return None
    stack = list(trace.tokens)[-1]
    one_for_all = len(pair[0].logits) < len(pair[0].tokens[stack])  # type: ignore[arg-type]
    row = int(_bits(pair).argmax()) if one_for_all else int(on_screen.chosen(f"changed_{stack}", 0))
    return _ranked_error(figure, [probabilities(one.logits[row]) for one in pair])  # type: ignore[index]


def _ranked_heads(trace: Trace, figure: Any) -> float | None:
    measured = probe("effects")
    if measured is None or measured.effects is None:
        return None
    effects = measured.effects
    ends = [(kind, *place) for kind, one in effects.items() for place in np.ndindex(one.shape)]
    found = sorted(ends, key=lambda end: -effects[end[0]][end[1], end[2]])
    found = found[: sum(len(one.x) for one in figure.data)]
    names = [
        say(
            "changes.head_label",
            kind=say(f"kinds.{kind}"),
            layer=trace.attentions[kind].layer_index[layer],
            head=head,
        )
        for kind, layer, head in found
    ]
    places = [[i for i, end in enumerate(found) if end[0] == kind] for kind in effects]
    values = [np.array([effects[found[i][0]][found[i][1:]] for i in one]) for one in places]
    return bars_error(figure, values, names, lying=True, places=places, longest=40)


def _effects(kind: str, trace: Trace, figure: Any) -> float | None:
    found = probe("effects")
    if found is None or found.effects is None:
        return None
    return cells_error(figure, found.effects[kind], [str(layer) for layer in trace.attentions[kind].layer_index])


OUTPUT: dict[str, on_screen.Reader] = {
    "probabilities": _written,
    "step_candidates": _candidates,
    "looks": _looks,
    "every_look": _every_look,
    "lens": _lens,
    "guesses": _guesses,
    "who_bars": _who,
    "tree": tree_error,
}
CHANGES: dict[str, on_screen.Reader] = {
    "divergence": _divergence,
    "candidates": _changed_candidates,
    "ranked": _ranked_heads,
    "direct_heads": direct_error,
    **{f"effects_{kind}": partial(_effects, kind) for kind in ("encoder", "decoder", "cross", "time", "space")},
}
