"""The verdict on what a page shows: its run, what was measured of that run, and the figures that are drawn of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import cache, partial
from typing import Any

import numpy as np
import streamlit as st

from model.maps.words import merge_words
from model.memory.cached_layers import without_cache
from model.trace.attention import Attention
from model.trace.check import Check, Part, Probe
from model.trace.trace import Trace
from viz.figures.heads import THUMBNAIL_PIXELS
from viz.figures.reading_back import cells_error, drawn_error, message_error
from viz.frame import server_state
from viz.widgets import pickers

# The figures of the one head that the page names in its heading.
CHOSEN = ("heatmap", "lines")
# What each page draws besides attention weights: the parts of a check by name.
DRAWS = {
    "whole": ("boxes", "weights", "labels", "words"),
    "text": ("weights", "labels", "text"),
    "program": ("weights", "labels", "text"),
    "chemistry": ("weights", "labels", "text"),
    "protein": ("weights", "labels", "text"),
    "video": ("weights", "labels", "text"),
    "heads": ("weights", "labels", "drawn"),
    "compare": ("weights", "labels", "drawn"),
    "inside": ("queries", "keys", "values", "scores", "weights"),
    "code": ("queries", "keys", "values", "scores", "weights"),
    "masks": ("scores", "leaked", "drawn"),
    "layers": ("states", "neurons", "labels", "drawn"),
    "positions": ("positions", "queries", "keys"),
    "output": ("logits", "words", "weights", "drawn", "lens"),
    "changes": ("logits", "words", "effects"),
}

# Of these parts: whether a run has them at all.
HAS: dict[str, Callable[[Trace], bool]] = {
    **dict.fromkeys(
        ("queries", "keys", "values", "scores"),
        lambda trace: any(one.has_vectors for one in trace.attentions.values()),
    ),
    "weights": lambda trace: bool(trace.attentions),
    "states": lambda trace: bool(trace.hidden_states),
    "logits": lambda trace: trace.logits is not None,
    "words": lambda trace: trace.output is not None or trace.predicted is not None or trace.classes is not None,
    "labels": lambda trace: bool(trace.tokens),
}


def drawn_names() -> tuple[str, ...]:
    """Names of the parts of a check that the page on screen draws."""
    return DRAWS.get(st.session_state.get("page_drawn", ""), DRAWS["heads"])


def _activations(trace: Trace, figure: Any) -> float | None:
    stack = _stack(trace.hidden_states)
    depth = min(int(st.session_state.get("depth", 0)), len(trace.hidden_states[stack]) - 1)
    return cells_error(figure, trace.hidden_states[stack][depth], trace.tokens[stack].texts)


def _stack(stacks: Mapping[str, Any]) -> str:
    """The stack that the page shows."""
    chosen = str(st.session_state.get("stack"))
    return chosen if chosen in stacks else next(iter(stacks))


def _neurons(trace: Trace, figure: Any) -> float | None:
    stack = _stack(trace.neurons)
    neurons = trace.neurons[stack][int(st.session_state.get("ff_layer") or 0)]
    shown = neurons if (neurons < 0).any() else np.where(neurons > 0, neurons, np.nan)
    return cells_error(figure, shown, trace.tokens[stack].texts)


def _mask(trace: Trace, figure: Any) -> float | None:
    attention, (layer, _) = _chosen(trace)
    return cells_error(figure, np.where(attention.mask(layer), 1.0, np.nan), attention.query_tokens)


def _scores(masked: bool, trace: Trace, figure: Any) -> float | None:
    attention, (layer, head) = _chosen(trace)
    scores = attention.scores(layer, masked=False)[head]
    scores = np.where(attention.mask(layer), scores, np.nan) if masked else scores
    return cells_error(figure, scores, attention.query_tokens)


def _chosen(trace: Trace) -> tuple[Attention, tuple[int, int]]:
    """The kind of attention, layer and head that the page shows."""
    kind = str(st.session_state.get("kind"))
    attention = trace.attentions[kind if kind in trace.attentions else pickers.default_kind(trace)]
    return attention, _head_on_screen()


def _head_on_screen() -> tuple[int, int]:
    """Layer and head that the page shows, as its pickers left them in the session."""
    return int(st.session_state.get("layer") or 0), int(st.session_state.get("head") or 0)


# Figures whose cells are numbers of the run, by key: each reads the figure back.
CELLS: dict[str, Callable[[Trace, Any], float | None]] = {
    "activations": _activations,
    "neurons": _neurons,
    "mask": _mask,
    "before": partial(_scores, False),
    "after": partial(_scores, True),
}
CELL_LIMIT = 1e-5  # of such a cell, as a share of the largest: they are the run's own numbers


def claim(trace: Trace, name: str, found: Probe | float | None) -> None:
    """Have the page's badge cover what was measured of a run.

    Args:
        name: of the measurement.
        found: what was measured; or an error by which what is drawn differs from the run, under the name of its part;
            None where it is compared with nothing, which the badge says.
    """
    st.session_state.setdefault("claims", {})[name] = (trace.serial, found)


def page_check(trace: Trace) -> Check:
    """The verdict on a run, on what was measured of it on this page, and on the page's figures of it."""
    check = trace.verify()
    parts, uncompared = list(check.parts), list(check.uncompared)
    for name, (serial, found) in st.session_state.get("claims", {}).items():
        if serial == trace.serial and isinstance(found, Probe):
            if {*found.names} <= {part.name for part in check.parts}:
                continue  # the pass itself was compared in these
            probed = _probe_check(trace, name, found)
            parts += probed.parts
            uncompared += probed.uncompared
        elif serial == trace.serial and found is None:
            uncompared.append(name)
        elif serial == trace.serial:
            parts.append(Part(name, found, check.tolerance))
    uncompared += missing_parts(trace, {part.name for part in parts})
    return replace(check, parts=(*parts, *drawn_parts(trace)), uncompared=tuple(dict.fromkeys(uncompared)))


def missing_parts(trace: Trace, compared: Collection[str]) -> list[str]:
    """Names of what the page draws of a run, and what no independent run was compared with."""
    return [name for name in drawn_names() if name not in compared and name in HAS and HAS[name](trace)]


def _probe_check(trace: Trace, name: str, probe: Probe) -> Check:
    """The verdict on one measurement, cached."""
    arrays = (*(probe.lens or ()), *(probe.effects or {}).values(), *(probe.neurons or {}).values())
    mark = hash(tuple(one.tobytes() for one in arrays))
    found: Check = server_state.result_cache().get(
        ("probe_check", trace.serial, name, mark),
        lambda: trace.verify_probe(probe),
        lambda check: 200 * (1 + len(check.parts)),
    )
    return found


def drawn_parts(trace: Trace, keys: tuple[str, ...] | None = None) -> list[Part]:
    """One part for the figures that draw weights of a run, the worst of them. keys: of the figures; None for all"""
    worst: Part | None = None
    runs = list({id(run[-1]): run[-1] for run in st.session_state.ran}.values())
    limit = trace.verify().tolerance + 1e-6
    for key, one in st.session_state.drawn.items():
        if keys is not None and key not in keys:
            continue
        if key in CELLS and trace is runs[0]:
            error = CELLS[key](trace, one.figure)
            if error is not None and (worst is None or error / CELL_LIMIT > worst.severity):
                worst = Part("drawn", error, CELL_LIMIT, key)
            continue
        errors = [(error, run) for run in runs if (error := figure_error(one.figure, key, run)) is not None]
        if not errors:
            continue
        error, run = min(errors, key=lambda found: found[0])
        owner = run if error <= limit else runs[0]
        if owner is trace and (worst is None or error / limit > worst.severity):
            worst = Part("drawn", error, limit, key)
    sent = _sent_error(trace) if runs and trace is runs[0] else None
    if sent is not None and (worst is None or sent / limit > worst.severity):
        worst = Part("drawn", sent, limit, "flip")
    return [] if worst is None else [worst]


def _sent_error(trace: Trace) -> float | None:
    """By how much the maps that the browser was sent of one layer differ; None where there are none."""
    kind, _, message = st.session_state.get("sent") or ("", 0, b"")
    attention = trace.attentions.get(kind)
    if attention is None or st.session_state.get("words"):
        return None
    names = [[side.name(i) for i in range(len(side))] for side in (attention.queries, attention.keys)]
    return message_error(message, _head_on_screen()[0], attention.weights, (names[0], names[1]))


def figure_error(figure: Any, key: str, trace: Trace) -> float | None:
    """Largest difference of a figure's weights from those of a run; None where it draws none."""
    shown = (figure.layout.meta or {}).get("shows") if hasattr(figure, "layout") else None
    whole = None if not shown else trace.attentions.get(shown["kind"])
    if not shown or whole is None:
        return None
    attention = (
        merge_words(without_cache(whole)) if key in ("mosaic", *CHOSEN) and st.session_state.get("words") else whole
    )
    merged = attention is not whole
    check = trace.verify()

    @cache
    def expected(layer: int) -> np.ndarray:
        kept = check.maps.get((attention.kind, layer))
        shape = attention.layers[layer].shape[1:3]
        if merged or kept is None or kept.shape[1:] != shape:
            head = int(shown["head"])
            part = without_cache(attention).select(layer, range(head, head + 1), range(shape[0])).weights()
            return np.concatenate([np.broadcast_to(part, (head + 1, *part.shape[1:]))])
        return kept

    def tiles(layer: int) -> np.ndarray:
        kept = check.maps.get((attention.kind, layer))
        return _small(attention, layer) if merged or kept is None else kept

    sides = ((shown.get("queries", ()), attention.queries), (shown.get("keys", ()), attention.keys))
    if any(max(places, default=0) >= len(tokens) for places, tokens in sides):
        return np.inf  # of a longer text
    if shown["what"] != "tiles" and int(shown["layer"]) >= attention.num_layers:
        return np.inf
    chosen = _head_on_screen() if key in CHOSEN else None
    predicted = key.startswith("alignment") and st.session_state.get("rows_by") == "predicted"
    return drawn_error(figure, attention, expected, tiles, chosen, labelled=not predicted)


def _small(attention: Attention, layer: int) -> np.ndarray:
    """Weights of all heads of a layer as tiles have them. [head, row, column]"""
    weights = without_cache(attention).weights(layer)
    for axis in (1, 2):
        count = weights.shape[axis]
        if count > THUMBNAIL_PIXELS:
            starts = np.arange(THUMBNAIL_PIXELS) * count // THUMBNAIL_PIXELS
            weights = np.maximum.reduceat(weights, starts, axis=axis)
    return weights
