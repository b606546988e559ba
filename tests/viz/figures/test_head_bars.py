"""One number a head as bars, with baselines beside them."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import pytest

from viz.figures.head_bars import MAX_BARS, head_bars
from viz.figures.reading_series import best_bars_error
from viz.figures.theme import LIGHT
from viz.saving.still_image import still_image


def test_bars_stand_in_order_with_baselines_beside_them() -> None:
    shares = np.array([[0.2, 0.9], [0.5, 0.1]], np.float32)
    figure = head_bars(shares, (0, 4), (1, 1), "Title", "share", {"alike": 0.4, "nearest": 0.3}, LIGHT)
    bars, *lines = figure.data
    assert list(figure.layout.xaxis.ticktext) == ["0.1", "4.0", "0.0", "4.1"]  # layers by their names
    assert list(figure.layout.xaxis.tickvals) == [0, 1, 2, 3]
    assert np.asarray(bars.y).tolist() == pytest.approx([0.9, 0.5, 0.2, 0.1])
    assert [colour == LIGHT.second for colour in bars.marker.color] == [False, False, False, True]
    assert [(line.name, line.y) for line in lines] == [("alike", (0.4, 0.4)), ("nearest", (0.3, 0.3))]
    assert still_image(figure, LIGHT.page, "svg").startswith(b"<?xml")


def test_the_head_on_screen_is_always_there() -> None:
    many = np.linspace(1, 0, 40, dtype=np.float32).reshape(4, 10)
    figure = head_bars(many, range(4), (3, 9), "Title", "share", {}, LIGHT)
    assert len(figure.data[0].x) == MAX_BARS
    assert figure.layout.xaxis.ticktext[-1] == "3.9"


@pytest.mark.parametrize("shape", [(2, 3), (4, 10)])
def test_bars_are_read_back_and_each_fault_is_found(shape: tuple[int, int]) -> None:
    shares = np.random.default_rng(1).random(shape).astype(np.float32)
    lowest = divmod(int(shares.argmin()), shape[1])
    expected = {f"{layer}.{head}": float(shares[layer, head]) for layer, head in np.ndindex(shape)}
    here = f"{lowest[0]}.{lowest[1]}"

    def read(figure: go.Figure) -> float:
        return best_bars_error(figure, expected, here, [0.4, 0.3])

    def drawn() -> go.Figure:
        return head_bars(shares, range(shape[0]), lowest, "Title", "share", {"alike": 0.4, "nearest": 0.3}, LIGHT)

    assert read(drawn()) < 1e-6
    for fault in ("number", "order", "label", "line", "head"):
        figure = drawn()
        bars, line = figure.data[:2]
        if fault == "number":
            bars.y = [1.1 * bars.y[0], *bars.y[1:]]
        elif fault == "order":
            bars.y = bars.y[::-1]
        elif fault == "label":
            figure.layout.xaxis.ticktext = [*figure.layout.xaxis.ticktext[1:], figure.layout.xaxis.ticktext[0]]
        elif fault == "line":
            line.y = [0.5, 0.5]
        else:
            figure = head_bars(shares, range(shape[0]), (0, 0), "Title", "share", {"a": 0.4, "b": 0.3}, LIGHT)
            figure.data[0].y = [*figure.data[0].y[:-1], 0.0]
        assert read(figure) > 1e-3, fault
