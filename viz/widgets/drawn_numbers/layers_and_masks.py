"""What the figures of Layers and Masks should show: states, neurons, masks and scores of the run."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import streamlit as st

from model.trace.trace import Trace
from viz.figures.reading_back import cells_error
from viz.figures.reading_series import bars_error
from viz.widgets.drawn_numbers import on_screen


def _activations(trace: Trace, figure: Any) -> float:
    stack = on_screen.stack(trace.hidden_states)
    depth = min(int(st.session_state.get("depth", 0)), len(trace.hidden_states[stack]) - 1)
    return cells_error(figure, trace.hidden_states[stack][depth], trace.tokens[stack].texts)


def _norms(trace: Trace, figure: Any) -> float:
    stack = on_screen.stack(trace.hidden_states)
    states = np.asarray(trace.hidden_states[stack], np.float64)
    norms = np.sqrt((states**2).sum(-1)).T
    logarithmic = figure.data[0].customdata is not None  # where one is massive
    return cells_error(figure, np.log10(norms.clip(1e-6)) if logarithmic else norms, trace.tokens[stack].texts)


def _similarities(trace: Trace, figure: Any) -> float:
    stack = on_screen.stack(trace.hidden_states)
    states = np.asarray(trace.hidden_states[stack], np.float64)
    lengths = np.linalg.norm(states, axis=-1)
    cosine = (states * states[0]).sum(-1) / np.maximum(lengths * lengths[0], 1e-12)
    return cells_error(figure, cosine.T, trace.tokens[stack].texts)


def _neurons(trace: Trace, figure: Any) -> float:
    stack = on_screen.stack(trace.neurons)
    neurons = trace.neurons[stack][int(st.session_state.get("ff_layer") or 0)]
    shown = neurons if (neurons < 0).any() else np.where(neurons > 0, neurons, np.nan)
    return cells_error(figure, shown, trace.tokens[stack].texts)


def _sparsity(trace: Trace, figure: Any) -> float:
    active = [(layer > 0).mean() for layer in trace.neurons[on_screen.stack(trace.neurons)]]
    return bars_error(figure, [np.array(active)], [str(layer) for layer in range(len(active))])


def _mask(trace: Trace, figure: Any) -> float:
    attention, (layer, _) = on_screen.attention_and_head(trace)
    return cells_error(figure, np.where(attention.mask(layer), 1.0, np.nan), attention.query_tokens)


def _scores(masked: bool, trace: Trace, figure: Any) -> float:
    attention, (layer, head) = on_screen.attention_and_head(trace)
    scores = attention.scores(layer, masked=False)[head]
    scores = np.where(attention.mask(layer), scores, np.nan) if masked else scores
    return cells_error(figure, scores, attention.query_tokens)


LAYERS: dict[str, on_screen.Reader] = {
    "activations": _activations,
    "norms": _norms,
    "similarities": _similarities,
    "neurons": _neurons,
    "sparsity": _sparsity,
}
MASKS: dict[str, on_screen.Reader] = {"mask": _mask, "before": partial(_scores, False), "after": partial(_scores, True)}
