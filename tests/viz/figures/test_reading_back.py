"""What is drawn is compared with the run: every way to draw it wrongly is noticed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from model.trace.attention import Attention
from model.trace.trace import Trace
from model.translator.translator import Translator
from viz.figures import heads, lines
from viz.figures.layers import neuron_heatmap
from viz.figures.reading_back import cells_error, drawn_error, text_error
from viz.figures.theme import LIGHT
from viz.figures.tiles import tile_layout
from viz.figures.tinted_text import TextMap
from viz.widgets.tinted_text import message

LIMIT = 1e-4
LAYER, HEAD = 1, 3


@pytest.fixture(scope="module", params=["the cat saw the dog that saw the cat", "very " * 55 + "long"])
def run(request: pytest.FixtureRequest, lens: Translator) -> Trace:
    return lens.trace(request.param)


def error(figure: go.Figure, run: Trace, kind: str, chosen: tuple[int, int] | None = (LAYER, HEAD)) -> float:
    attention, maps = run.attentions[kind], run.verify().maps
    found = drawn_error(figure, attention, attention.weights, lambda layer: maps[kind, layer], chosen)
    assert found is not None
    return found


def flipped(axis: Any) -> None:
    axis.range = list(axis.range)[::-1]


def one_on(axis: Any) -> None:
    axis.ticktext = [*axis.ticktext[1:], axis.ticktext[0]]


def other_way_up(figure: go.Figure) -> None:
    figure.data[0].z = np.asarray(figure.data[0].z)[::-1]


MAP_FAULTS: list[Callable[[go.Figure], None]] = [
    other_way_up,
    lambda figure: flipped(figure.layout.yaxis2),
    lambda figure: flipped(figure.layout.xaxis2),
    lambda figure: one_on(figure.layout.yaxis),
    lambda figure: one_on(figure.layout.xaxis),
    lambda figure: setattr(figure.data[0], "z", np.asarray(figure.data[0].z) * 0.9),
    lambda figure: setattr(figure.data[0], "z", np.asarray(figure.data[0].z).T),
    lambda figure: setattr(figure.data[0], "z", np.full_like(figure.data[0].z, np.nan)),
]


@pytest.mark.parametrize("kind", ["encoder", "decoder", "cross"])
@pytest.mark.parametrize("specials", [True, False])
def test_a_map_is_read_back(run: Trace, kind: str, specials: bool) -> None:
    def draw() -> go.Figure:
        return heads.head_heatmap(run.attentions[kind], LAYER, HEAD, LIGHT, specials=specials, row=1, fit=True)

    assert error(draw(), run, kind) < LIMIT
    assert error(draw(), run, kind, (LAYER, HEAD + 1)) > LIMIT  # the heading names another head
    for number, fault in enumerate(MAP_FAULTS):
        figure = draw()
        fault(figure)
        sides = [(one.layout.xaxis.ticktext, one.layout.yaxis.ticktext) for one in (figure, draw())]
        same = number in (3, 4) and all(np.array_equal(*axis) for axis in zip(*sides, strict=True))
        assert same or error(figure, run, kind) > LIMIT, number


def test_other_heads_and_layers_are_noticed(run: Trace, monkeypatch: pytest.MonkeyPatch) -> None:
    attention, right = run.attentions["cross"], Attention.pooled
    for change in (lambda layer, head: (layer, head + 1), lambda layer, head: (2 - layer - 1, head)):
        monkeypatch.setattr(
            Attention, "pooled", lambda self, layer, head, *more, c=change: right(self, *c(layer, head), *more)
        )
        figure = heads.head_heatmap(attention, LAYER, HEAD, LIGHT)
        monkeypatch.setattr(Attention, "pooled", right)
        assert error(figure, run, "cross") > LIMIT


@pytest.mark.parametrize("kind", ["encoder", "decoder", "cross"])
@pytest.mark.parametrize("beside", [True, False])
def test_lines_are_read_back(run: Trace, kind: str, beside: bool) -> None:
    attention = run.attentions[kind]

    def draw() -> go.Figure:
        heatmap = heads.head_heatmap(attention, LAYER, HEAD, LIGHT, row=1, fit=True) if beside else None
        return lines.token_lines(attention, LAYER, HEAD, LIGHT, row=1, beside=heatmap)

    assert error(draw(), run, kind) < LIMIT
    figure = draw()
    flipped(figure.layout.yaxis)
    assert error(figure, run, kind) > LIMIT
    figure = draw()
    for trace in figure.data:
        if trace.mode == "lines":
            trace.x = 1 - np.asarray(trace.x)
    assert error(figure, run, kind) > LIMIT
    figure = draw()
    figure.data = [trace for trace in figure.data if trace.mode == "text"]
    assert error(figure, run, kind) > LIMIT


def test_lines_of_another_head_or_with_other_labels(run: Trace) -> None:
    attention = run.attentions["cross"]
    figure = lines.token_lines(attention, LAYER, HEAD + 1, LIGHT)
    figure.layout.meta["shows"]["head"] = HEAD
    assert error(figure, run, "cross") > LIMIT
    figure = lines.token_lines(attention, LAYER, HEAD, LIGHT)
    for trace in figure.data:
        if trace.mode == "text" and len(set(trace.text)) > 2:
            trace.text = [*trace.text[1:], trace.text[0]]
    assert error(figure, run, "cross") > LIMIT


@pytest.mark.parametrize("kind", ["encoder", "decoder", "cross"])
def test_tiles_are_read_back(run: Trace, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    attention = run.attentions[kind]
    tile = LIMIT + 0.51 / 254

    def draw() -> go.Figure:
        return heads.head_mosaic(attention, LIGHT)

    assert error(draw(), run, kind) < tile
    figure = draw()
    flipped(figure.layout.yaxis)
    assert error(figure, run, kind) > tile
    numbers = draw().layout
    assert len(numbers.xaxis.ticktext) > 1
    for axis in ("xaxis", "yaxis"):
        figure = draw()
        one_on(figure.layout[axis])
        assert error(figure, run, kind) > tile
    figure = draw()
    figure.data[0].customdata = [list(cell) for cell in figure.data[0].customdata[::-1]]
    assert error(figure, run, kind) > tile
    resize = heads.resize
    for change in (lambda maps: maps[:, ::-1], lambda maps: np.roll(maps, 1, axis=0), lambda maps: maps * 0.9):
        monkeypatch.setattr(heads, "resize", lambda maps, size, c=change: resize(c(maps), size))
        assert error(draw(), run, kind) > tile
    monkeypatch.setattr(heads, "resize", resize)
    overviews = Attention.overviews
    monkeypatch.setattr(Attention, "overviews", lambda self, side: overviews(self, side)[::-1])
    assert error(draw(), run, kind) > tile


def test_tiles_in_bands_are_read_back(lens: Translator) -> None:
    few = lens.trace("the cat saw the dog").attentions["encoder"]
    attention = replace(few, layers=few.layers * 8, layer_index=tuple(range(8 * few.num_layers)))
    assert tile_layout(attention.num_layers, attention.num_heads).bands > 1

    def found(figure: go.Figure) -> float:
        error = drawn_error(figure, attention, attention.weights, attention.weights)
        assert error is not None
        return error

    assert found(heads.head_mosaic(attention, LIGHT)) < LIMIT + 0.51 / 254
    figure = heads.head_mosaic(attention, LIGHT)
    figure.data[1].text = [*figure.data[1].text[1:], figure.data[1].text[0]]  # the numbers of the other bands
    assert found(figure) > 1
    figure = heads.head_mosaic(attention, LIGHT)
    figure.layout.images[0].x += 1
    assert found(figure) > 1


def test_a_tinted_text_is_read_back(run: Trace) -> None:
    attention = run.attentions["encoder"]
    weights = attention.weights(LAYER)[HEAD]
    tokens = attention.queries
    names = [[tokens.name(i) for i in range(len(tokens))]] * 2
    sent = message(TextMap(weights, tokens, tokens, ("encoder", "encoder")), names)
    assert text_error(sent, weights, names) < LIMIT
    assert text_error(sent, attention.weights(LAYER)[HEAD + 1], names) > LIMIT
    assert text_error(sent, weights.T, names) > LIMIT
    assert text_error(sent, weights, [names[0], names[1][::-1]]) > LIMIT


def test_a_figure_without_weights_is_left_alone(run: Trace) -> None:
    assert (
        drawn_error(go.Figure(), run.attentions["cross"], run.attentions["cross"].weights, lambda _: np.ones(1)) is None
    )


def test_cells_far_beyond_the_end_of_the_colours_are_read_back() -> None:
    numbers = np.random.default_rng(0).normal(size=(7, 1536)).astype(np.float32)
    numbers[3, 5] = 40.0  # colours end far below it
    names = [str(row) for row in range(7)]
    figure = neuron_heatmap(numbers, 0, names, LIGHT, "encoder")
    assert figure.data[0].z.dtype.kind == "i"
    assert cells_error(figure, numbers, names) == 0
    moved = numbers.copy()
    moved[:, [2, 5]] = moved[:, [5, 2]]
    assert cells_error(figure, moved, names) > 0.1
