"""Figures of many sentences: every number stands at its head or sentence, and intervals where they end."""

from __future__ import annotations

import numpy as np
import pytest

from viz.figures.lab import MOST_BARS, head_means, head_sentences, number, ranked_heads
from viz.figures.theme import DARK, LIGHT, Palette

MEANS = np.array([[0.1, 0.9, np.nan], [0.5, 0.2, 0.3]], np.float32)
LAYERS = (0, 4)  # of a model that has attention in some layers
SENTENCES = ["short", "<b>marked</b>", "w" * 200, "never"]
VALUES = np.array([0.4, 0.2, 0.9, np.nan], np.float32)


@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_every_head_has_its_mean(palette: Palette) -> None:
    figure = head_means(MEANS, (1, 0), "what", "share", palette, LAYERS)
    (cells,) = [one for one in figure.data if one.type == "heatmap"]
    assert np.array_equal(np.array(cells.z), MEANS, equal_nan=True)
    assert cells.zmin == 0
    assert cells.zmax == pytest.approx(0.9)
    assert figure.layout.yaxis.ticktext == ("0", "4")
    marks = figure.data[-1]
    at = [tuple(one) for one in marks.customdata].index((1, 2))
    assert (marks.x[at], marks.y[at]) == (2, 1)
    assert "4" in marks.text[at]
    assert "30%" in marks.text[at]
    assert cells.colorbar.tickformat == ".0%"
    assert "z:.0%" in cells.hovertemplate
    assert "–" in marks.text[2]  # no sentence shows it
    frame = next(one for one in figure.layout.shapes if one.type == "rect")
    assert (frame.x0, frame.x1, frame.y0, frame.y1) == (-0.5, 0.5, 0.5, 1.5)


def test_nothing_measured_and_all_alike_can_be_drawn() -> None:
    for means in (np.full((1, 2), np.nan, np.float32), np.zeros((1, 2), np.float32)):
        figure = head_means(means, (0, 0), "what", "share", LIGHT, (0,))
        assert next(one for one in figure.data if one.type == "heatmap").zmax == 1
        ranked = ranked_heads(means, means, means, (0, 0), "share", LIGHT, (0,))
        assert len(ranked.data[0].x) == np.isfinite(means).sum()
    assert len(head_sentences(VALUES[3:], SENTENCES[3:], (np.nan,) * 3, "title", "share", LIGHT).data[0].x) == 0


def test_each_sentence_is_a_point_and_the_interval_a_band() -> None:
    figure = head_sentences(VALUES, SENTENCES, (0.3, 0.5, 0.7), "title", "share", LIGHT)
    points = figure.data[0]
    assert np.array(points.x) == pytest.approx([0.2, 0.4, 0.9])
    assert list(points.customdata) == [1, 0, 2]  # the last sentence cannot show it
    assert "&lt;b&gt;" in points.text[0]
    assert len(points.text[2]) < 100
    band, mean = figure.layout.shapes
    assert (band.x0, band.x1, mean.x0, mean.x1) == (0.3, 0.7, 0.5, 0.5)
    alone = head_sentences(VALUES[:1], SENTENCES[:1], (np.nan, 0.4, np.nan), "title", "share", LIGHT)
    assert [one.type for one in alone.layout.shapes] == ["line"]


def test_heads_are_ranked_with_their_intervals() -> None:
    low, high = MEANS - 0.05, MEANS + 0.1
    low[0, 1] = high[0, 1] = np.nan
    figure = ranked_heads(MEANS, low, high, (1, 0), "share", LIGHT, LAYERS)
    bars = figure.data[0]
    assert np.array(bars.x) == pytest.approx([0.9, 0.5, 0.3, 0.2, 0.1])
    assert [tuple(one) for one in bars.customdata] == [(0, 1), (1, 0), (1, 2), (1, 1), (0, 0)]
    assert figure.layout.yaxis.ticktext == ("0.1", "4.0", "4.2", "4.1", "0.0")
    assert list(bars.marker.color).index(LIGHT.second) == 1
    first = figure.layout.shapes[0]  # the best head has no interval
    assert (first.y0, first.x0, first.x1) == (1, pytest.approx(0.45), pytest.approx(0.6))
    many = ranked_heads(*[np.linspace(0, 1, 60, dtype=np.float32).reshape(6, 10)] * 3, (0, 0), "share", LIGHT, range(6))
    assert len(many.data[0].x) == MOST_BARS


def test_shares_are_written_in_percent_and_other_values_with_two_decimals() -> None:
    assert [number(one, "share") for one in (0.456, 0.041, 0, float("nan"))] == ["46%", "4.1%", "0%", "–"]
    assert [number(one, "bits") for one in (0.456, 2)] == ["0.46", "2.00"]
    for unit, form in (("share", ".0%"), ("bits", None)):
        drawn = head_sentences(VALUES, SENTENCES, (0.3, 0.5, 0.7), "title", unit, LIGHT)
        ranked = ranked_heads(MEANS, MEANS, MEANS, (1, 0), unit, LIGHT, LAYERS)
        assert drawn.layout.xaxis.tickformat == ranked.layout.xaxis.tickformat == form
