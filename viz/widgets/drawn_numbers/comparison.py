"""What the figures of Compare should show: two heads' weights on the same tokens, and how far they differ."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np
import streamlit as st

from model.maps.words import join_silence
from model.measures import alignment, weight_scales
from model.measures.similarity import jensen_shannon, query_stride
from model.trace.attention import Attention
from model.trace.layer_inputs import MultiHeadLayer
from model.trace.tokens import Tokens
from model.trace.trace import Trace
from viz.figures.layers import depth_names
from viz.figures.reading_back import WRONG, cells_error
from viz.figures.reading_series import bars_error, picture_error
from viz.frame.shown_run import results
from viz.language.messages import say
from viz.widgets.drawn_numbers import on_screen
from viz.widgets.drawn_numbers.all_heads import head_map_error, through_error, wall_error

SAME_HEAD = ("sentences", "pair", "edit")  # what A and B differ in where they show one head
LETTERS, POOLED_LETTERS = 11, 14  # of a label of a small map
SAMPLES = 6  # heads whose similarity is worked out again


class Side(NamedTuple):
    """One of the two compared heads."""

    trace: Trace
    attention: Attention
    layer: int
    head: int

    @property
    def weights(self) -> np.ndarray:
        """[query, key], 0 where masked."""
        seen = self.attention.mask(self.layer)
        weights: np.ndarray = np.where(seen, self.attention.weights(self.layer)[self.head], 0.0)
        return weights


def _sides(trace: Trace) -> tuple[Side, Side]:
    """A and B, as the pickers of the page left them."""
    attention, (layer, head) = on_screen.joined_and_head(trace)
    runs = [run[-1] for run in st.session_state.ran]
    other = next((run for run in reversed(runs) if run is not trace), trace)
    kind = str(on_screen.chosen("b_kind", attention.kind))
    kind = kind if kind in other.attentions else attention.kind
    b = other.attentions[kind if kind in other.attentions else list(other.attentions)[-1]]
    if on_screen.chosen("compare", "heads") in SAME_HEAD:
        b = other.attentions.get(attention.kind, b)
        places = min(layer, b.num_layers - 1), min(head, b.num_heads - 1)
    else:
        places = int(on_screen.chosen("b_layer", layer)), int(on_screen.chosen("b_head", head))
    return Side(trace, attention, layer, head), Side(other, join_silence(b), *places)


def _pairs(a: Side, b: Side) -> tuple[alignment.AlignedPairs, alignment.AlignedPairs]:
    """Aligned queries and aligned keys."""
    return (
        alignment.align_tokens(a.attention.queries, b.attention.queries),
        alignment.align_tokens(a.attention.keys, b.attention.keys),
    )


def _names(pairs: alignment.AlignedPairs, a: Tokens, b: Tokens) -> list[str]:
    """Labels of aligned tokens; one without a partner says whose it is."""
    return [
        f"{a.texts[i]} {say('compare.only_a')}"
        if i is not None and j is None
        else f"{b.texts[j]} {say('compare.only_b')}"
        if i is None and j is not None
        else a.texts[i or 0]
        for i, j in pairs
    ]


def _scaled(side: Side, queries: Any, keys: Any) -> np.ndarray | None:
    """One head's map on the scale of the page, NaN where it has no cell; None without what norms need."""
    weights, scale = side.weights, str(on_screen.chosen("scale", "weight"))
    allowed = side.attention.mask(side.layer)
    if st.session_state.get("sink"):
        weights, _ = weight_scales.drop_sink_tokens(weights, side.attention.keys)
    if scale == "norm":
        found = results.multi_head(side.trace, side.attention.kind, side.layer)
        w_o = found.w_o if isinstance(found, MultiHeadLayer) else None
        if w_o is None or side.trace.edits.heads:
            return None
        dim = side.attention.head_dim
        rows = w_o[side.head * dim : (side.head + 1) * dim]
        weights = weights * np.linalg.norm(side.attention.value(side.layer)[side.head] @ rows, axis=-1)
    else:
        weights = weight_scales.apply_scale(weights, allowed, scale)
    return alignment.expand_to_alignment(np.where(allowed, weights, np.nan), queries, keys)


def _map(which: str, trace: Trace, figure: Any) -> float | None:
    a, b = _sides(trace)
    if figure.layout.images:
        return _over_picture(which, a, b, figure)
    rows, columns = _pairs(a, b)
    maps = [
        _scaled(side, queries, keys)
        for side, queries, keys in zip((a, b), zip(*rows, strict=True), zip(*columns, strict=True), strict=True)
    ]
    if maps[0] is None or maps[1] is None:
        return None
    expected = {"a": maps[0], "b": maps[1], "difference": maps[1] - maps[0]}[which]
    longest = LETTERS if np.shape(figure.data[0].z) == expected.shape else POOLED_LETTERS
    return cells_error(figure, expected, _names(rows, a.attention.queries, b.attention.queries), longest)


def _over_picture(which: str, a: Side, b: Side, figure: Any) -> float:
    """The error of the weights of one query over the patches of a picture."""
    picture, row = a.trace.picture, on_screen.row(a.attention)
    partner = dict(_pairs(a, b)[0]).get(row)
    if picture is None or partner is None:
        return WRONG
    weights = {"a": a.weights[row], "b": b.weights[partner]}
    weights["difference"] = weights["b"] - weights["a"]
    return picture_error(figure, weights[which][picture.first :].reshape(picture.rows, picture.columns))


def _row_divergence(trace: Trace, figure: Any) -> float:
    a, b = _sides(trace)
    rows, columns = _pairs(a, b)
    first, second = a.weights, b.weights
    found = []
    for i, j in rows:
        p = q = np.zeros(0)
        if i is not None and j is not None:
            p = np.array([0.0 if k is None else first[i][k] for k, _ in columns])
            q = np.array([0.0 if k is None else second[j][k] for _, k in columns])
        found.append(float(jensen_shannon(p, q)) if len(p) else np.nan)
    # Of two equal heads it is nothing but rounding; it can be 1 bit at most.
    return bars_error(figure, [np.array(found)], _names(rows, a.attention.queries, b.attention.queries), least=0.01)


def _similarity(trace: Trace, figure: Any) -> float:
    """The error of some heads' similarity to the chosen head, worked out again from their weights."""
    attention, (layer, head) = on_screen.joined_and_head(trace)
    shown = np.array(figure.data[0].z, np.float64)
    if shown.shape != (attention.num_layers, attention.num_heads):
        return WRONG
    step = query_stride(attention)
    own = attention.weights(layer)[head, ::step].astype(np.float64)
    heads = attention.num_heads
    expected = shown.copy()
    for number in {*np.linspace(0, shown.size - 1, SAMPLES).astype(int).tolist(), layer * heads + head}:
        place = divmod(number, heads)
        other = attention.weights(place[0])[place[1], ::step].astype(np.float64)
        expected[place] = 1 - jensen_shannon(own, other).mean()
    return cells_error(figure, expected, [str(one) for one in attention.layer_index])


def _states(stack: str, trace: Trace, figure: Any) -> float | None:
    """The error of the distances of the hidden states of two runs."""
    a, b = _sides(trace)
    pairs = alignment.align_tokens(a.trace.tokens[stack], b.trace.tokens[stack])
    first, second = (np.asarray(side.trace.hidden_states[stack], np.float64) for side in (a, b))
    shown = np.array(figure.data[0].z, np.float64)
    if shown.shape != (len(first), len(pairs)):
        return None  # pooled
    expected = np.full(shown.shape, np.nan)
    for at, (i, j) in enumerate(pairs):
        if i is not None and j is not None:
            lengths = np.linalg.norm(first[:, i], axis=-1) * np.linalg.norm(second[:, j], axis=-1)
            expected[:, at] = 1 - (first[:, i] * second[:, j]).sum(-1) / np.maximum(lengths, 1e-12)
    return cells_error(figure, expected, depth_names(len(first)))


COMPARE: dict[str, on_screen.Reader] = {
    **{f"map_{which}": partial(_map, which) for which in ("a", "b", "difference")},
    "row_divergence": _row_divergence,
    "similarity": _similarity,
    "through": through_error,
    "wall": wall_error,
    "head_map": head_map_error,
    **{f"states_{stack}": partial(_states, stack) for stack in ("encoder", "decoder")},
}
