"""What the figures of Positions should show: tables, waves, turns and biases, from what the model adds and turns by."""

from __future__ import annotations

from typing import Any

import numpy as np

from model.positions.scheme import PositionScheme, Rotation
from model.positions.sinusoidal import columns, find_layout, sinusoidal
from model.trace.trace import Trace
from viz.figures.linking import query_stack
from viz.figures.reading_back import WRONG, cells_error
from viz.figures.reading_series import Curve, bars_error, curves_error
from viz.figures.waves import POINTS
from viz.frame import model_access
from viz.widgets import pickers
from viz.widgets.drawn_numbers import on_screen

ROTARY_LENGTH, BASE = 64, 10_000.0  # positions of the waves of a rotation; base of a model's own sinusoids
CURVES = 64  # of similarities, at most


def _scheme(trace: Trace) -> PositionScheme:
    positions = model_access.open_model().positions
    stack = query_stack(str(on_screen.chosen("kind", pickers.default_kind(trace))))
    if {"encoder", "decoder"} <= trace.tokens.keys() and not positions("encoder").equals(positions("decoder")):
        stack = str(on_screen.chosen("pe_stack", "encoder"))
    return positions(stack)


def _table(trace: Trace, longer: int = 1) -> tuple[np.ndarray, Rotation | None, int]:
    """The table that is drawn, its waves and its first position. longer: how many times as long as the slider says"""
    scheme = _scheme(trace)
    own = np.asarray(scheme.table, np.float64)
    if scheme.kind != "sinusoidal":
        return own[:64, :1024], None, 0
    length, width = longer * int(on_screen.chosen("pe_length", 64)), int(on_screen.chosen("pe_d", own.shape[1]))
    found, base, width = find_layout(own[:64]), float(on_screen.chosen("pe_base", BASE)), width // 2 * 2
    assert found is not None
    turning = columns(width, base, found[0])
    if width == own.shape[1] and base == BASE and length <= len(own):
        return own[:length], turning, found[1]  # as the model adds it, not as the formula has it
    return sinusoidal(length, width, base, *found), turning, found[1]


def _rotation(trace: Trace) -> Rotation:
    scheme, (layer, _) = _scheme(trace), on_screen.head()
    return scheme.rotation(layer) or scheme.rotations[0]


def _cosines(table: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(table, axis=1)
    cosines: np.ndarray = table @ table.T / np.maximum(np.outer(lengths, lengths), 1e-12)
    return cosines


def _heatmap(trace: Trace, figure: Any) -> float:
    table, _, _ = _table(trace)
    return cells_error(figure, table, [str(i) for i in range(len(table))])


def _similarity_map(trace: Trace, figure: Any) -> float:
    table, _, _ = _table(trace)
    return cells_error(figure, _cosines(table), [str(i) for i in range(len(table))])


def _similarities(trace: Trace, figure: Any) -> float:
    cosines = _cosines(_table(trace)[0])
    places = np.arange(len(cosines))
    return curves_error(figure, [(places - i, cosines[i]) for i in range(0, len(places), -(-len(places) // CURVES))])


def _waves(trace: Trace, figure: Any) -> float:
    curves: list[Curve] = []
    if _scheme(trace).kind == "rotary":
        fine, places = np.arange((ROTARY_LENGTH - 1) * POINTS + 1) / POINTS, np.arange(ROTARY_LENGTH)
        for pair in on_screen.chosen("pe_pairs", []):
            speed = float(_rotation(trace).frequencies[pair])
            curves += [(fine, np.cos(fine * speed)), (places, np.cos(places * speed))]
        return curves_error(figure, curves)
    table, turning, first = _table(trace)
    assert turning is not None
    assert turning.pairs is not None
    fine, places = np.arange((len(table) - 1) * POINTS + 1) / POINTS, np.arange(len(table))
    for column in on_screen.chosen("pe_dims", []):
        pair, part = (int(one) for one in np.argwhere(turning.pairs == column)[0])
        wave = (np.sin, np.cos)[part]((fine + first) * turning.frequencies[pair])
        curves += [(fine, wave), (places, table[:, column])]
    return curves_error(figure, curves)


def _circle(trace: Trace, figure: Any) -> float:
    if _scheme(trace).kind == "rotary":
        speeds = _rotation(trace).frequencies
        pair, angle = _pair(len(speeds)), np.arange(2 * ROTARY_LENGTH)
        points = np.stack([np.cos(angle * speeds[pair]), np.sin(angle * speeds[pair])], axis=1)
    else:
        table, turning, _ = _table(trace, longer=2)
        assert turning is not None
        assert turning.pairs is not None
        points = table[:, turning.pairs[_pair(len(turning.pairs)), ::-1]]
    start = int(on_screen.chosen("pe_start", 3))
    ends = [points[start], points[start + int(on_screen.chosen("pe_offset", 1))]]
    hands = [(np.array([0.0, x]), np.array([0.0, y])) for x, y in ends]
    return curves_error(figure, [(points[:, 0], points[:, 1]), *hands])


def _pair(count: int) -> int:
    return min(int(on_screen.chosen("pe_pair", 8)), count - 1)


def _wavelengths(trace: Trace, figure: Any) -> float:
    return bars_error(figure, [2 * np.pi / _rotation(trace).frequencies])


def _match(trace: Trace, figure: Any) -> float:
    """The product of a query and a key by their distance: each pair of dimensions a number that turns."""
    attention, (layer, head) = on_screen.attention_and_head(trace)
    rotation, row, key = _rotation(trace), on_screen.row(attention), on_screen.chosen("pe_key", None)
    if rotation.pairs is None:
        return WRONG
    if key is None:
        weights = attention.row(layer, row)[head]
        others = np.where([i == 0 or special for i, special in enumerate(attention.keys.special)], 0, weights)
        key = int((others if others.any() else weights).argmax())
    query, asked = (
        one.astype(np.float64) for one in (attention.query(layer)[head, row], attention.key(layer)[head, key])
    )
    first, second = rotation.pairs.T
    products = (query[first] + 1j * query[second]) * (asked[first] - 1j * asked[second])
    rest = float(np.delete(query * asked, rotation.pairs.ravel()).sum())
    reach, true = max(ROTARY_LENGTH, len(attention.keys)), row - key
    start = 0 if attention.kind == "decoder" and row >= key else -reach
    fine, places = (np.arange(0, reach - start + step / 2, step) + start for step in (1 / POINTS, 1))

    def parts(at: np.ndarray) -> np.ndarray:
        return (products[:, None] * np.exp(1j * np.outer(rotation.frequencies, at - true))).real

    curves = [(fine, parts(fine)[pair]) for pair in on_screen.chosen("pe_pairs", [])]
    curves += [(at, parts(at).sum(0) + rest) for at in (fine, places)]
    return curves_error(figure, [*curves, (np.array([true]), np.array([query @ asked]))])


def _bias(trace: Trace, figure: Any) -> float:
    """The bias of each head by distance: as it was added to the scores of this text, where it has such a distance."""
    scheme, attention = _scheme(trace), None
    assert scheme.bias is not None
    assert scheme.distances is not None
    layer = int(on_screen.chosen("pe_layer", 0)) if scheme.layer_biases is not None else 0
    table = np.array(scheme.bias if scheme.layer_biases is None else scheme.layer_biases[layer], np.float64)
    stack = str(on_screen.chosen("pe_stack", query_stack(str(on_screen.chosen("kind", pickers.default_kind(trace))))))
    attention = trace.attentions.get(stack)
    if attention is not None and attention.has_vectors:
        bias, seen = attention.bias(layer), attention.mask(layer)
        for at, distance in enumerate(scheme.distances):
            allowed = np.diagonal(seen, int(distance))
            if len(allowed) and allowed.all():
                table[:, at] = np.diagonal(bias, int(distance), 1, 2).mean(1)
    return curves_error(figure, [(np.asarray(scheme.distances), line) for line in table])


POSITIONS: dict[str, on_screen.Reader] = {
    "pe_table": _heatmap,
    "pe_similarity_map": _similarity_map,
    "pe_similarity": _similarities,
    "waves": _waves,
    "circle": _circle,
    "wavelengths": _wavelengths,
    "match": _match,
    "pe_bias": _bias,
}
