"""What the figures of Layers and Masks should show: states, neurons, masks and scores of the run."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import streamlit as st

from model.arrays.types import Array
from model.measures.hidden_states import massive_states
from model.trace.trace import Trace
from viz.figures.layers import depth_names
from viz.figures.reading_back import WRONG, cells_error
from viz.figures.reading_series import bars_error
from viz.figures.theme import escape
from viz.widgets.drawn_numbers import on_screen
from viz.widgets.drawn_numbers.components import components_error


def _shown(numbers: Array, trace: Trace, stack: str) -> tuple[Any, tuple[str, ...]]:
    """Numbers of the tokens that are shown, and their labels. numbers: [layer, token, width]"""
    count = trace.shown(stack)
    return np.asarray(numbers[:, :count], np.float64), trace.tokens[stack].texts[:count]


def _activations(trace: Trace, figure: Any) -> float:
    stack = on_screen.stack(trace.hidden_states)
    states, names = _shown(trace.hidden_states[stack], trace, stack)
    return cells_error(figure, states[min(int(st.session_state.get("depth", 0)), len(states) - 1)], names)


def _norms(trace: Trace, figure: Any) -> float:
    stack = on_screen.stack(trace.hidden_states)
    states, names = _shown(trace.hidden_states[stack], trace, stack)
    norms = np.sqrt((states**2).sum(-1)).T
    logarithmic = figure.data[0].customdata is not None  # where one is massive
    return cells_error(figure, np.log10(norms.clip(1e-6)) if logarithmic else norms, names)


def _similarities(trace: Trace, figure: Any) -> float:
    stack = on_screen.stack(trace.hidden_states)
    states, names = _shown(trace.hidden_states[stack], trace, stack)
    lengths = np.linalg.norm(states, axis=-1)
    cosine = (states * states[0]).sum(-1) / np.maximum(lengths * lengths[0], 1e-12)
    return cells_error(figure, cosine.T, names)


def _paths(trace: Trace, figure: Any) -> float:
    """The paths of the tokens along the first two principal components of their states."""
    stack = on_screen.stack(trace.hidden_states)
    states, names = _shown(trace.hidden_states[stack], trace, stack)
    left_out = {found.token for found in massive_states(states)}
    drawn = [token for token in range(len(names)) if token not in left_out]
    depths, groups = depth_names(len(states)), len(figure.data)
    points = np.full((len(states), len(drawn), 2), np.nan)
    for number, one in enumerate(figure.data):
        found = np.stack([np.array(axis, np.float64) for axis in (one.x, one.y)], axis=-1)
        own = range(number, len(drawn), groups)
        told = [f"{escape(names[drawn[i]])}: {depth}" for i in own for depth in depths]
        if len(found) != len(own) * (len(states) + 1) or [text for text in one.customdata if text] != told:
            return WRONG
        points[:, own] = found.reshape(len(own), -1, 2)[:, :-1].transpose(1, 0, 2)
    rows = states[:, drawn].reshape(-1, states.shape[-1])
    return components_error(points.reshape(-1, 2), rows)


def _neurons(trace: Trace, figure: Any) -> float:
    stack = on_screen.stack(trace.neurons)
    layers, names = _shown(trace.neurons[stack], trace, stack)
    neurons = layers[int(st.session_state.get("ff_layer") or 0)]
    shown = neurons if (neurons < 0).any() else np.where(neurons > 0, neurons, np.nan)
    return cells_error(figure, shown, names)


def _sparsity(trace: Trace, figure: Any) -> float:
    stack = on_screen.stack(trace.neurons)
    active = [(layer > 0).mean() for layer in _shown(trace.neurons[stack], trace, stack)[0]]
    return bars_error(figure, [np.array(active)], [str(layer) for layer in range(len(active))])


def _mask(trace: Trace, figure: Any) -> float:
    attention, (layer, _) = on_screen.attention_and_head(trace)
    return _mask_error(figure, attention.mask(layer), attention.query_tokens)


def _mask_error(figure: Any, allowed: np.ndarray, names: Sequence[str]) -> float:
    """The error of the cells of a mask and of the crosses on those that it forbids. allowed: [query, key]"""
    crosses = [one for one in figure.data if one.type == "scatter" and one.marker.symbol == "x-thin"]
    marked = {(round(y), round(x)) for one in crosses for x, y in zip(one.x, one.y, strict=True)}
    if crosses and marked != set(zip(*map(np.ndarray.tolist, np.nonzero(~allowed)), strict=True)):
        return WRONG
    return cells_error(figure, np.where(allowed, 1.0, np.nan), names)


def _scores(masked: bool, trace: Trace, figure: Any) -> float:
    attention, (layer, head) = on_screen.attention_and_head(trace)
    scores = attention.scores(layer, masked=False)[head]
    scores = np.where(attention.mask(layer), scores, np.nan) if masked else scores
    return cells_error(figure, scores, attention.query_tokens)


def _batch_mask(number: int, kind: str, trace: Trace, figure: Any) -> float | None:
    """The mask of one of two texts that were read together: padding is no key of its own tokens."""
    pair = [run[-1] for run in st.session_state.ran][-2:]
    if kind not in pair[-1].attentions or len(pair) < 2:
        return None
    one, own = pair[number - 1], "decoder" if kind == "decoder" else "encoder"
    allowed, count = one.attentions[kind].mask(0), len(one.ids[own])
    rows = slice(count if kind == own else None)
    if allowed[rows, count:].any():
        return WRONG
    return _mask_error(figure, allowed, one.attentions[kind].query_tokens)


LAYERS: dict[str, on_screen.Reader] = {
    "activations": _activations,
    "norms": _norms,
    "similarities": _similarities,
    "paths": _paths,
    "neurons": _neurons,
    "sparsity": _sparsity,
}
MASKS: dict[str, on_screen.Reader] = {
    "mask": _mask,
    "before": partial(_scores, False),
    "after": partial(_scores, True),
    **{
        f"batch_{kind}_{number}": partial(_batch_mask, number, kind)
        for kind in ("encoder", "decoder", "cross")
        for number in (1, 2)
    },
}
