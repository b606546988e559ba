"""Figures of one head's steps: equal columns, one scale, every number at its row, repeated tokens apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import plotly.graph_objects as go
import pytest

from model.trace.trace import Trace
from model.translator.translator import Translator
from viz.figures import key_bars, steps
from viz.figures.theme import LIGHT, escape
from viz.figures.worked_head import MAX_KEYS, WorkedHead, robust_limits, worked_head
from viz.saving.still_image import still_image
from viz.saving.tables import figure_table, wide_figure_table
from viz.sections.inside import formula_latex


@pytest.fixture(scope="module")
def trace(lens: Translator) -> Trace:
    return lens.trace("That that is, is.", target="Ce qui est, est.")


def heat(figure: go.Figure) -> go.Heatmap:
    return next(part for part in figure.data if part.type == "heatmap")


def bars(worked: WorkedHead, values: np.ndarray, **how: object) -> go.Figure:
    limits = (float(values.min()), float(values.max()))
    return key_bars.key_bars(worked, values, "title", LIGHT, colour=LIGHT.accent, limits=limits, **how)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["encoder", "decoder", "cross"])
def test_q_stands_above_k_on_one_scale_in_the_same_columns(trace: Trace, kind: str) -> None:
    attention = trace.attentions[kind]
    worked = worked_head(attention, 1, 4, 2, key=3)
    figure = steps.query_and_keys(worked, LIGHT)
    drawn = heat(figure)
    np.testing.assert_array_equal(drawn.z[0], attention.query(1)[4, 2])
    assert np.isnan(drawn.z[1]).all()
    np.testing.assert_array_equal(drawn.z[2:], attention.key(1)[4])
    assert drawn.zmax == -drawn.zmin >= np.abs(drawn.z[2:][:, :1]).max() / 2.5
    query, keys = figure.layout.meta["focus"]
    assert (query["at"], query["places"]) == ([0], [2])
    assert keys["at"] == [2 + i for i in range(len(attention.keys))]
    assert keys["places"] == list(range(len(attention.keys)))
    assert keys["pick"] == "key"
    assert query["stack"] == ("encoder" if kind == "encoder" else "decoder")
    assert keys["stack"] == ("decoder" if kind == "decoder" else "encoder")
    assert list(figure.layout.yaxis.ticktext)[2:] == [escape(name) for name in attention.key_tokens]
    box = figure.layout.shapes[-1]
    assert (box.y0, box.y1) == (4.5, 5.5)


def test_products_stand_under_their_factors_and_the_sum_ends_at_the_dot_product(trace: Trace) -> None:
    worked = worked_head(trace.attentions["encoder"], 0, 0, 1, key=3)
    parts = steps.factor_strip(worked, LIGHT), steps.product_bars(worked, LIGHT), steps.running_sum(worked, LIGHT)
    strip, products, sums = parts
    assert len({(part.layout.margin.l, part.layout.margin.r) for part in parts}) == 1
    assert len({tuple(part.layout.xaxis.range) for part in parts}) == 1
    assert not any(part.layout.yaxis.automargin or part.layout.xaxis.automargin for part in parts)
    np.testing.assert_allclose(heat(strip).z[0] * heat(strip).z[1], products.data[0].y, rtol=1e-5)
    np.testing.assert_allclose(np.cumsum(products.data[0].y), sums.data[0].y, atol=1e-4)
    assert sums.data[1].y[0] == pytest.approx(worked.steps.dots[3], abs=1e-4)
    assert f"{worked.steps.dots[3]:.3f}" in sums.data[1].text[0]
    assert heat(strip).zmax == heat(steps.query_and_keys(worked, LIGHT)).zmax


def test_bars_show_the_forbidden_keys(trace: Trace) -> None:
    attention = trace.attentions["decoder"]
    worked = worked_head(attention, 0, 0, 1)
    figure = bars(worked, worked.steps.scaled, masked=True)
    assert np.isnan(figure.data[0].x[2:]).all()
    np.testing.assert_array_equal(figure.data[0].x[:2], worked.steps.scaled[:2])
    assert list(figure.data[1].y) == list(range(2, len(attention.keys)))
    assert set(figure.data[1].text) == {"-∞"}
    assert list(figure.layout.yaxis.ticktext) == [escape(name) for name in attention.key_tokens]


def test_bars_that_are_compared_have_one_scale_and_equal_rows(trace: Trace) -> None:
    worked = worked_head(trace.attentions["cross"], 0, 0, 1)
    values = (worked.steps.dots, worked.steps.dots * worked.steps.scale)
    how = {"colour": LIGHT.accent, "limits": (-60.0, 60.0)}
    one, two = (key_bars.key_bars(worked, each, "", LIGHT, **how) for each in values)  # type: ignore[arg-type]
    assert one.layout.xaxis.range == two.layout.xaxis.range
    assert one.layout.height == two.layout.height
    assert one.layout.margin == two.layout.margin


def test_another_divisor_is_marked_against_the_weights_of_the_model(trace: Trace) -> None:
    worked = worked_head(trace.attentions["decoder"], 0, 0, 3)
    own = worked.steps.divisor
    figure = key_bars.divisor_bars(worked, [own / 2, own, own * 2], 2, 1, LIGHT)
    stops = figure.layout.meta["stops"]
    allowed = worked.steps.allowed
    np.testing.assert_allclose(figure.data[0].x[allowed], worked.steps.weights_at(own * 2)[allowed], rtol=1e-5)
    np.testing.assert_allclose(stops["weights"][1], worked.steps.weights, atol=1e-5)
    np.testing.assert_allclose([sum(one) for one in stops["weights"]], 1, atol=1e-4)
    numbers = next(part for part in figure.data if part.name == "numbers")
    assert numbers.text[0] == f"{worked.steps.weights_at(own * 2)[0]:.1%}"
    np.testing.assert_array_equal(figure.data[-1].x[::3], worked.steps.weights)
    assert stops["titles"][1] not in (stops["titles"][0], stops["titles"][2])
    assert figure.layout.xaxis.title.text == stops["titles"][2]


def test_weighted_values_add_up_to_the_output(trace: Trace) -> None:
    attention = trace.attentions["cross"]
    worked = worked_head(attention, 1, 2, 2)
    z, dims, count = heat(steps.weighted_values(worked, LIGHT)).z, attention.head_dim, len(attention.keys)
    np.testing.assert_array_equal(z[:count, :dims], attention.value(1)[2])
    np.testing.assert_allclose(z[:count, dims + 1 :].sum(0), z[-1, dims + 1 :], atol=1e-5)
    np.testing.assert_allclose(z[-1, dims + 1 :], attention.weights(1)[2, 2] @ attention.value(1)[2], atol=1e-5)
    assert np.isnan(z[:, dims]).all()
    assert np.isnan(z[count:, :dims]).all()


def test_of_many_keys_the_strongest_have_a_row_and_the_others_are_summed(lens: Translator) -> None:
    attention = lens.trace("the dog and " * 12 + "the dog.").attentions["encoder"]
    assert len(attention.keys) > MAX_KEYS
    worked = worked_head(attention, 1, 2, 2, key=5)
    assert len(worked.shown) == MAX_KEYS
    assert 5 in worked.shown
    assert worked.steps.weights[worked.hidden].max() <= sorted(worked.steps.weights)[-MAX_KEYS + 1]
    z, dims = heat(steps.weighted_values(worked, LIGHT)).z, attention.head_dim
    np.testing.assert_allclose(z[: MAX_KEYS + 1, dims + 1 :].sum(0), worked.steps.output, atol=1e-5)
    assert steps.query_and_keys(worked, LIGHT).layout.meta["focus"][1]["places"] == list(worked.shown)


def test_the_formula_is_that_of_the_family_with_the_step_lit(trace: Trace) -> None:
    usual = worked_head(trace.attentions["cross"], 0, 0, 1).steps
    assert r"\frac{Q K^\top}{\colorbox{#abc}{$\displaystyle \sqrt{d_k}$}}" in formula_latex(usual, 3, "#abc")
    assert r"\colorbox{#abc}{$\displaystyle V$}" in formula_latex(usual, 5, "#abc")
    assert all(formula_latex(usual, step, "#abc").count("colorbox") >= 1 for step in range(1, 6))
    relative = replace(usual, scale=1.0, bias=np.ones_like(usual.bias))  # as T5: no division, a bias
    assert "frac" not in formula_latex(relative, 3, "#abc")
    assert "+ B + M" in formula_latex(relative, 3, "#abc")
    assert r"\frac{Q K^\top}{4}" in formula_latex(replace(usual, scale=0.25), 5, "#abc")


def test_one_huge_value_does_not_blank_the_rest() -> None:
    values = np.linspace(-1, 1, 1000)
    assert robust_limits(values) == (-1, 1)
    values[3] = 90
    assert robust_limits(values)[1] < 2


@pytest.mark.parametrize(
    "draw",
    [
        lambda one: steps.query_and_keys(one, LIGHT),
        lambda one: steps.factor_strip(one, LIGHT),
        lambda one: steps.product_bars(one, LIGHT),
        lambda one: steps.running_sum(one, LIGHT),
        lambda one: steps.weighted_values(one, LIGHT),
        lambda one: bars(one, one.steps.scaled, masked=True),
        lambda one: key_bars.divisor_bars(one, [1.0, 5.0], 0, 1, LIGHT),
    ],
)
def test_every_figure_is_valid_and_can_be_saved(trace: Trace, draw: Callable[[WorkedHead], go.Figure]) -> None:
    worked = worked_head(trace.attentions["decoder"], 0, 0, 3)
    figure = draw(worked)
    go.Figure(figure.to_dict())  # validates
    assert still_image(figure, LIGHT.page, "png").startswith(b"\x89PNG")
    assert len(figure_table(figure))
    assert len(wide_figure_table(figure))
    assert replace(worked, key=0).chosen == worked.shown.index(0)
