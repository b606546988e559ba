"""Colours of values and enlarged figures."""

from __future__ import annotations

import numpy as np
import pytest

from model.translator.translator import Translator
from viz.figures.heads import head_heatmap
from viz.figures.theme import DARK, LIGHT, Palette, base_figure, colour_bar, enlarged_figure, rgba_colours


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
    assert large.layout.title.font.size == 1.5 * figure.layout.title.font.size
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
    assert large.layout.title.font.size == 2 * figure.layout.title.font.size
