"""Figures of position encodings: every column is drawn, curves are smooth, and one real match has its own number."""

from __future__ import annotations

import json

import numpy as np
import plotly.graph_objects as go
import pytest

from model.catalog.store import local_folder
from model.positions.scheme import Rotation
from model.positions.sinusoidal import columns, sinusoidal
from viz.figures import positions, waves
from viz.figures.cell_pooling import max_pooled
from viz.figures.full_grid import colour_limit, cut_reading
from viz.figures.theme import LIGHT


def cells(figure: go.Figure) -> np.ndarray:
    return np.asarray(figure.data[0].z)


def test_every_column_of_the_encoding_is_drawn_as_it_is() -> None:
    encoding = sinusoidal(64, 256)
    drawn = cells(positions.encoding_heatmap(encoding, LIGHT))
    assert drawn.shape == encoding.shape
    np.testing.assert_allclose(drawn / 100, encoding, atol=0.0051)  # in percent of 1
    # In the slow half each sine is near 0 beside its cosine near 1; the stronger of two neighbours is the cosine alone.
    slow = drawn[:16, 128:]
    assert (np.abs(slow[:, 0::2]).max(), np.abs(slow[:, 1::2]).min()) == (15, 99)
    assert (np.abs(slow) > 90).mean() == 0.5
    pooled = 100 * max_pooled(encoding, signed=True)
    assert pooled.shape[1] < encoding.shape[1]
    assert (np.abs(pooled[:16, pooled.shape[1] // 2 :]) > 90).mean() > 0.75  # a solid block with white bars


def test_the_largest_encoding_is_cheap() -> None:
    def size(length: int, width: int) -> int:
        return len(json.dumps(positions.encoding_heatmap(sinusoidal(length, width), LIGHT).to_dict(), default=str))

    assert size(64, 256) < 49_152  # what 96 × 96 cells as float32 take
    assert size(256, 576) < 256 * 576 * 4 / 3 + 20_000  # a byte a cell, in base64


def test_a_learned_table_with_outliers_keeps_its_colours() -> None:
    table = np.random.default_rng(0).normal(size=(64, 256))
    table[0, 3] = -90.0
    limit = colour_limit(table)
    assert 2 < limit < 4
    figure = positions.encoding_heatmap(table, LIGHT)
    assert figure.data[0].zmax == 100
    assert cells(figure)[0, 3] == round(-9000 / limit)  # no value is changed
    assert "90" in cut_reading(table, limit)
    table[0, 3] = 1.0
    assert colour_limit(table) == np.abs(table).max()
    assert cut_reading(table, colour_limit(table)) == ""


def test_waves_are_smooth_and_have_a_dot_at_each_position() -> None:
    encoding = sinusoidal(32, 16)
    curves = waves.sinusoid_waves([0, 5], columns(16))
    figure = waves.wave_curves(curves, 32, LIGHT, "", "", ("decoder", range(4)))
    sine, dots, cosine, cosine_dots = figure.data
    np.testing.assert_allclose(dots.y, encoding[:, 0], atol=1e-6)
    np.testing.assert_allclose(cosine_dots.y, encoding[:, 5], atol=1e-6)
    assert list(dots.x) == list(range(32))
    np.testing.assert_allclose(sine.y, np.sin(np.asarray(sine.x)), atol=1e-6)
    assert len(sine.y) == 31 * waves.POINTS + 1
    assert np.max(sine.y) > 0.998 > np.max(dots.y[:6])  # the crest lies between two positions
    assert (sine.line.dash, cosine.line.dash) == ("solid", "dot")
    mark = figure.layout.meta["focus"][0]
    assert (mark["axis"], mark["stack"], mark["at"], mark["places"]) == ("x", "decoder", [0, 1, 2, 3], [0, 1, 2, 3])


def test_similarity_depends_on_distance_alone_and_hands_stand_at_their_positions() -> None:
    encoding = sinusoidal(32, 16)
    curves = positions.similarity_by_distance(encoding, LIGHT).data
    assert len(curves) == 32
    one_step = [curve.y[list(curve.x).index(1)] for curve in curves[:-1]]
    np.testing.assert_allclose(one_step, one_step[0], atol=1e-6)
    circle = positions.rotation_circle(encoding[:, 4:6], 3, 4, LIGHT, "", ("encoder", range(3)))
    hand = circle.data[2]
    assert (hand.x[1], hand.y[1]) == (encoding[7, 5], encoding[7, 4])
    assert [mark["at"][0] for mark in circle.layout.meta["focus"]] == [encoding[i, 4] for i in range(3)]


def test_the_match_of_a_real_query_and_key_passes_through_the_recorded_score() -> None:
    if local_folder("smollm2") is None:
        pytest.skip("SmolLM2 is not here")
    import model

    lens = model.load("smollm2")
    trace = lens.trace("The red car and the red house stopped.")  # "red" twice
    attention = trace.attentions["decoder"]
    reds = [place for place, text in enumerate(attention.query_tokens) if text.strip() == "red"]
    assert len(reds) == 2
    layer, head, row, key = 3, 2, reds[1], reds[0]
    rotation = lens.positions().rotation(layer)
    assert rotation is not None
    query, asked = attention.query(layer)[head, row], attention.key(layer)[head, key]
    expected = float(attention.scores(layer)[head, row, key]) / attention.scale(layer)
    distances = (0, 64, row - key)
    total = waves.match_at_whole_distances(query, asked, rotation, distances)
    assert total[row - key] == pytest.approx(expected, abs=1e-4)
    assert np.ptp(total) > 1
    figure = waves.match_curve(query, asked, rotation, distances, [0, 4], LIGHT)
    smooth, dots, true = figure.data[-3:]
    assert (true.x[0], true.y[0]) == (row - key, pytest.approx(expected, abs=1e-4))
    np.testing.assert_allclose(dots.y, total, atol=1e-4)
    np.testing.assert_allclose(np.asarray(smooth.y)[:: waves.POINTS], total, atol=1e-4)


def test_the_parts_of_all_pairs_add_up_to_the_match() -> None:
    random = np.random.default_rng(1)
    rotation = Rotation(np.array([1.0, 0.1]), np.array([[0, 2], [1, 3]]))
    query, key = random.normal(size=4), random.normal(size=4)
    figure = waves.match_curve(query, key, rotation, (0, 20, 5), [0, 1], LIGHT)
    first, second, total = (np.asarray(figure.data[i].y, float) for i in range(3))
    np.testing.assert_allclose(first + second, total, atol=1e-6)
    assert total[5 * waves.POINTS] == pytest.approx(query @ key, abs=1e-6)
