"""Colours of values and enlarged figures."""

from __future__ import annotations

import copy
import json

import numpy as np
import plotly.graph_objects as go
import plotly.io
import pytest

from model.translator.translator import Translator
from viz.figures.heads import head_heatmap, head_mosaic
from viz.figures.lines import token_lines
from viz.figures.theme import (
    DARK,
    LIGHT,
    Palette,
    base_figure,
    colour_bar,
    enlarged_figure,
    rgba_colours,
    untitled_figure,
    unvalidated_figure,
)


@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_scales_change_lightness_steadily(palette: Palette) -> None:
    """So that they can be read in grey, and with any colour vision."""
    lightness = rgba_colours(np.linspace(0, 1, 64), palette.sequential)[:, :3] @ np.array([0.2126, 0.7152, 0.0722])
    change = np.diff(lightness)
    assert (change <= 0).all() or (change >= 0).all()
    assert abs(lightness[-1] - lightness[0]) > 120


def test_masked_cells_are_transparent() -> None:
    assert rgba_colours(np.array([np.nan, 0.0]), LIGHT.sequential)[:, 3].tolist() == [0, 255]


def test_an_enlarged_figure_shows_the_same_in_larger_letters(lens: Translator) -> None:
    figure = head_heatmap(lens.trace("I see.").attentions["encoder"], 0, 1, LIGHT)
    large = enlarged_figure(figure, 1.5)
    assert np.array_equal(large.data[0].z, figure.data[0].z)
    assert large.data[0].hovertemplate == figure.data[0].hovertemplate
    assert large.layout.title.font.size == 1.25 * figure.layout.title.font.size
    assert large.layout.xaxis.tickfont.size == 1.5 * figure.layout.xaxis.tickfont.size
    for height, kept in ((300, 300), (430, 380), (700, 700)):  # what stands in the first screen does, under larger bars
        assert enlarged_figure(base_figure("a", LIGHT, height), 1.5).layout.height == kept


def test_a_projector_enlarges_every_letter() -> None:
    figure = base_figure("title", LIGHT, 400)
    figure.add_heatmap(z=[[1]], colorbar=colour_bar("weight"), textfont={"size": 10})
    large = enlarged_figure(figure, 2)
    heat, before = large.data[0], figure.data[0]
    assert (heat.colorbar.tickfont.size, heat.colorbar.title.font.size, heat.textfont.size) == (22, 24, 20)
    assert (before.colorbar.tickfont.size, before.textfont.size) == (11, 10)
    assert large.layout.title.font.size == 1.5 * figure.layout.title.font.size


def test_drawing_a_figure_makes_none_of_plotlys_objects(lens: Translator) -> None:
    """They take 5 ms a figure, on each click of each student."""
    attention = lens.trace("I see what I see.").attentions["encoder"]
    heatmap = head_heatmap(attention, 0, 1, LIGHT, row=1, fit=True)
    for figure in (heatmap, token_lines(attention, 0, 1, LIGHT, row=1, beside=heatmap), head_mosaic(attention, LIGHT)):
        for drawn in (untitled_figure(figure), enlarged_figure(figure, 1.5)):
            assert json.loads(plotly.io.to_json(drawn.to_dict(), validate=False))["data"]
            assert "_data_objs" not in vars(drawn)
        assert "_data_objs" not in vars(figure)
        sent, made = figure.to_dict(), go.Figure(figure)  # validated, with all of Plotly's objects
        assert figure.data[0].type == made.data[0].type
        assert json.loads(plotly.io.to_json(sent, validate=False)) == json.loads(made.to_json(validate=False))
        assert json.loads(figure.to_json()) == json.loads(copy.deepcopy(figure).to_json())


def test_a_figure_keeps_no_part_of_what_it_was_made_from() -> None:
    axis, trace = {"range": [0, 1]}, {"type": "scatter", "x": [None], "line": {"width": 1}, "name": None}
    figure = unvalidated_figure([trace], {"xaxis": axis, "yaxis": axis, "title": {"text": "one"}})
    figure._layout["yaxis"]["range"] = [1, 0]
    assert axis == {"range": [0, 1]}
    assert figure._layout["xaxis"]["range"] == [0, 1]
    assert "name" not in figure._data[0]
    assert figure._data[0]["x"] == [None]
    figure.layout.title.text = "two"  # from here on with Plotly's objects
    figure.data[0].line.width = 2
    sent = figure.to_dict()
    assert sent["layout"]["title"]["text"] == "two"
    assert sent["data"][0]["line"]["width"] == 2
    assert trace["line"] == {"width": 1}
    with pytest.raises(AttributeError):
        _ = figure.nothing


def test_titles_of_an_enlarged_figure_stay_in_their_room() -> None:
    figure = base_figure("How far do the rows differ? (Jensen-Shannon)", LIGHT, 380)
    figure.update_layout(
        yaxis_title="query: output token fed in, asks, in a figure that is not high", xaxis_title="key"
    )
    large = enlarged_figure(figure, 1.4).layout
    assert large.title.font.size == pytest.approx(1.2 * 16)  # it has a line, however narrow the figure
    assert large.xaxis.title.font.size == pytest.approx(13 * 1.4)
    assert large.yaxis.title.text == "query: output token fed in, asks,<br>in a figure that is not high"
    assert large.legend.y == pytest.approx(1.4 * figure.layout.legend.y)  # below labels that are larger
