"""The verdict on what a page shows: its run, what was measured of that run, and the figures that are drawn of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import cache, partial
from typing import Any

import numpy as np
import streamlit as st

from model.maps.words import join_silence, merge_words
from model.memory.cached_layers import without_cache
from model.trace.attention import Attention
from model.trace.check import Check, Part, Probe
from model.trace.trace import Trace
from viz.figures.heads import THUMBNAIL_PIXELS
from viz.figures.reading_back import drawn_error, message_error
from viz.figures.reading_series import best_bars_error
from viz.figures.theme import figure_meta
from viz.frame import checks
from viz.widgets.drawn_numbers import on_screen
from viz.widgets.drawn_numbers.table import READERS

# The figures of the one head that the page names in its heading.
CHOSEN = ("heatmap", "lines")
# Figures that draw words where they are asked to, and those that draw the silence behind a sound as one token.
WORDS = ("mosaic", *CHOSEN)
JOINED = (*WORDS, "alignment", "compare_tiles")
# What each page draws besides attention weights: the parts of a check by name.
DRAWS = {
    "whole": ("boxes", "weights", "labels", "words"),
    "text": ("weights", "labels", "text"),
    "program": ("weights", "labels", "text", "drawn"),
    "chemistry": ("weights", "labels", "text", "drawn"),
    "protein": ("weights", "labels", "text", "guess", "drawn"),
    "video": ("weights", "labels", "text", "drawn"),
    "heads": ("weights", "labels", "drawn"),
    "compare": ("weights", "labels", "drawn"),
    "inside": ("queries", "keys", "values", "scores", "weights"),
    "code": ("queries", "keys", "values", "scores", "weights"),
    "masks": ("scores", "leaked", "drawn"),
    "layers": ("states", "neurons", "labels", "drawn"),
    "positions": ("positions", "queries", "keys"),
    "output": ("logits", "words", "weights", "drawn", "lens", "guess"),
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


CELL_LIMIT = 1e-4  # of a number that a figure shows, as a share of its largest: it is the run's own, in float32


def claim(trace: Trace, name: str, found: Probe | float | None) -> None:
    """Have the page's badge cover what was measured of a run.

    Args:
        name: of the measurement.
        found: what was measured; or an error by which what is drawn differs from the run, under the name of its part
            or the key of its figure; None where it is compared with nothing, which the badge says.
    """
    st.session_state.setdefault("claims", {})[name] = (trace.serial, found)


def bars_of_heads_error(
    figure: Any, shares: np.ndarray, attention: Attention, here: tuple[int, int], lines: Mapping[str, float]
) -> float:
    """By how much a figure of `viz.figures.head_bars` differs from the share of each head. shares: [layer, head]"""
    names = [f"{layer}.{head}" for layer in attention.layer_index for head in range(shares.shape[1])]
    chosen = f"{attention.layer_index[here[0]]}.{here[1]}"
    return best_bars_error(figure, dict(zip(names, shares.ravel().tolist(), strict=True)), chosen, [*lines.values()])


def page_check(trace: Trace) -> Check | None:
    """The verdict on a run, on what was measured of it on this page, and on the page's figures of it.

    Returns:
        None while the check of a long text waits for its turn, or is made.
    """
    check = checks.find_check(trace)
    if check is None or not all(checks.find_check(run[-1]) for run in st.session_state.ran):
        return None
    parts, uncompared = list(check.parts), list(check.uncompared)
    for name, (serial, found) in st.session_state.get("claims", {}).items():
        if serial == trace.serial and isinstance(found, Probe):
            if {*found.names} <= {part.name for part in check.parts}:
                continue  # the pass itself was compared in these
            probed = checks.find_probe_check(trace, name, found)
            if probed is None:
                return None
            parts += probed.parts
            uncompared += probed.uncompared
        elif serial == trace.serial and found is None:
            uncompared.append(name)
        elif serial == trace.serial and name in {*st.session_state.drawn} - {*drawn_names()}:
            parts.append(Part("drawn", found, CELL_LIMIT, name))
        elif serial == trace.serial:
            parts.append(Part(name, found, check.tolerance))
    uncompared += missing_parts(trace, {part.name for part in parts})
    return replace(check, parts=(*parts, *drawn_parts(trace)), uncompared=tuple(dict.fromkeys(uncompared)))


def unread_titles() -> list[str]:
    """Titles of the page's figures whose numbers are not read back and compared with the run."""
    readers, drawn = READERS.get(st.session_state.get("page_drawn", ""), {}), st.session_state.drawn
    read = {*readers, *st.session_state.get("claims", {})}
    unread = [one.figure for key, one in drawn.items() if key not in read]
    unread = [figure for figure in unread if not figure_meta(figure).get("shows")]
    return list(dict.fromkeys(str(figure.layout.title.text) for figure in unread if figure.layout.title.text))


def missing_parts(trace: Trace, compared: Collection[str]) -> list[str]:
    """Names of what the page draws of a run, and what no independent run was compared with."""
    return [name for name in drawn_names() if name not in compared and name in HAS and HAS[name](trace)]


def drawn_parts(trace: Trace, keys: tuple[str, ...] | None = None) -> list[Part]:
    """One part for the figures that draw weights of a run, the worst of them. keys: of the figures; None for all"""
    worst: Part | None = None
    runs = list({id(run[-1]): run[-1] for run in st.session_state.ran}.values())
    limit = trace.verify().tolerance + 1e-6
    readers = READERS.get(st.session_state.get("page_drawn", ""), {})
    for key, one in st.session_state.drawn.items():
        if keys is not None and key not in keys:
            continue
        reads = partial(_error_of, readers[key]) if key in readers else partial(_weights_error, key)
        allowed = CELL_LIMIT if key in readers else limit
        # Two runs stand on one page; a figure of the readers' table that may be of the second is on Output only.
        of = runs if key not in readers or readers is READERS["output"] else runs[:1]
        errors = [(error, run) for run in of if (error := reads(run, one.figure)) is not None]
        if not errors:
            continue
        error, run = min(errors, key=lambda found: found[0])
        owner = run if error <= allowed else runs[0]
        if owner is trace and (worst is None or error / allowed > worst.severity):
            worst = Part("drawn", error, allowed, key)
    sent = _sent_error(trace) if runs and trace is runs[0] else None
    if sent is not None and (worst is None or sent / limit > worst.severity):
        worst = Part("drawn", sent, limit, "flip")
    return [] if worst is None else [worst]


def _error_of(reader: on_screen.Reader, trace: Trace, figure: Any) -> float | None:
    """What a reader finds; infinite for a run that does not have what the figure shows, such as a shorter text."""
    try:
        return reader(trace, figure)
    except (LookupError, ValueError, AssertionError):
        return np.inf


def _sent_error(trace: Trace) -> float | None:
    """By how much the maps that the browser was sent of one layer differ; None where there are none."""
    kind, _, message = st.session_state.get("sent") or ("", 0, b"")
    attention = trace.attentions.get(kind)
    if attention is None or st.session_state.get("words"):
        return None
    attention = join_silence(attention)
    names = [[side.name(i) for i in range(len(side))] for side in (attention.queries, attention.keys)]
    return message_error(message, on_screen.head()[0], attention.weights, (names[0], names[1]))


def _weights_error(key: str, trace: Trace, figure: Any) -> float | None:
    """Largest difference of a figure's weights from those of a run; None where it draws none."""
    shown = figure_meta(figure).get("shows") if hasattr(figure, "_layout") else None
    whole = None if not shown else trace.attentions.get(shown["kind"])
    if not shown or whole is None:
        return None
    attention = _as_drawn(key, whole)
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
    chosen = on_screen.head() if key in CHOSEN else None
    predicted = key.startswith("alignment") and st.session_state.get("rows_by") == "predicted"
    return drawn_error(figure, attention, expected, tiles, chosen, labelled=not predicted)


def _as_drawn(key: str, whole: Attention) -> Attention:
    """An attention as the figure with this key draws it: between words, or with the silence of a sound as one token."""
    if not key.startswith(JOINED):
        return whole
    if key in WORDS and st.session_state.get("words"):
        return merge_words(without_cache(whole))
    return whole if join_silence(whole) is whole else join_silence(without_cache(whole))


def _small(attention: Attention, layer: int) -> np.ndarray:
    """Weights of all heads of a layer as tiles have them. [head, row, column]"""
    weights = without_cache(attention).weights(layer)
    for axis in (1, 2):
        count = weights.shape[axis]
        if count > THUMBNAIL_PIXELS:
            starts = np.arange(THUMBNAIL_PIXELS) * count // THUMBNAIL_PIXELS
            weights = np.maximum.reduceat(weights, starts, axis=axis)
    return weights
