"""Figures of hidden states and neurons, also where one token is far longer than the others."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import pytest

from model.measures.hidden_states import massive_states
from model.trace.trace import Trace
from model.translator.translator import Translator
from viz.figures import layers
from viz.figures.full_grid import EXACT_CELLS
from viz.figures.theme import LIGHT, escape
from viz.language.readings import neuron_reading


@pytest.fixture(scope="module")
def trace(lens: Translator) -> Trace:
    return lens.trace("That that is, is.", target="Ce qui est, est.")


@pytest.fixture
def massive() -> np.ndarray:
    """Random states of five tokens; from depth 2 on, dimension 7 of token 1 holds 500."""
    states = np.random.default_rng(0).normal(size=(4, 5, 32)).astype(np.float32)
    states[2:, 1, 7] = 500
    return states


def heat(figure: go.Figure) -> go.Heatmap:
    return next(part for part in figure.data if part.type == "heatmap")


def test_layers_draw_the_states(trace: Trace) -> None:
    states, tokens = trace.hidden_states["encoder"], trace.tokens["encoder"].texts
    assert tokens.count("is") == 2
    drawn = layers.activation_heatmap(states, 2, tokens, LIGHT, "encoder")
    np.testing.assert_array_equal(heat(drawn).z, states[2])
    assert drawn.layout.meta["focus"][0]["places"] == list(range(len(tokens)))
    norms = heat(layers.norm_heatmap(states, tokens, LIGHT, "encoder", 2)).z
    assert norms[3, 1] == pytest.approx(np.linalg.norm(states[1, 3]))
    similar = layers.embedding_similarity_heatmap(states, tokens, LIGHT, "encoder")
    np.testing.assert_allclose(np.array(heat(similar).z)[:, 0], 1, atol=1e-6)
    fired = trace.neurons["encoder"]
    drawn = np.array(heat(layers.neuron_heatmap(fired[1], 1, tokens, LIGHT, "encoder")).z)
    assert np.isnan(drawn).sum() == (fired[1] == 0).sum()
    assert layers.sparsity_bars(fired, LIGHT).data[0].y[1] == pytest.approx((fired[1] > 0).mean())


def test_paths_are_named_at_their_ends_where_the_browser_finds_them(trace: Trace) -> None:
    states, tokens = trace.hidden_states["encoder"], trace.tokens["encoder"].texts
    figure = layers.token_trajectories(states, tokens, LIGHT, "encoder")
    assert len(figure.data) == min(len(tokens), len(LIGHT.lines))
    assert sorted(name for path in figure.data for name in path.text if name) == sorted(map(escape, tokens))
    marks, last = figure.layout.meta["focus"], len(states) - 1
    assert [mark["places"] for mark in marks] == [[place] for place in range(len(tokens))]
    assert marks[2]["at"][0] == figure.data[2].y[last]
    assert sum(marks[2]["span"]) / 2 == pytest.approx(figure.data[2].x[last])


def test_a_massive_token_is_found_with_its_factor_and_dimension(massive: np.ndarray, trace: Trace) -> None:
    (found,) = massive_states(massive)
    norms = np.linalg.norm(massive[found.depth], axis=-1)
    assert (found.token, found.dimension) == (1, 7)
    assert found.depth >= 2
    assert found.factor == pytest.approx(norms[1] / np.median(norms), rel=1e-5)
    assert found.share > 0.99
    assert massive_states(massive[:2]) == []
    assert massive_states(massive[:, :2]) == []  # of two tokens none is the rule
    assert massive_states(trace.hidden_states["encoder"]) == []


def test_a_massive_token_blanks_neither_the_map_nor_the_lengths_nor_the_paths(massive: np.ndarray) -> None:
    tokens = ["the", "cat", "the", "cat", "."]
    others = np.delete(massive[3], 1, axis=0)
    drawn = heat(layers.activation_heatmap(massive, 3, tokens, LIGHT, "decoder"))
    assert drawn.zmax == pytest.approx(np.abs(others).max())
    assert drawn.z[1, 7] == 500  # no value is changed
    lengths = heat(layers.norm_heatmap(massive, tokens, LIGHT, "decoder"))
    np.testing.assert_allclose(lengths.z, np.log10(np.linalg.norm(massive, axis=-1)).T, rtol=1e-5)
    np.testing.assert_allclose(lengths.customdata, np.linalg.norm(massive, axis=-1).T, rtol=1e-5)
    assert list(lengths.colorbar.ticktext) == ["10", "100"]
    assert list(lengths.colorbar.tickvals) == [1, 2]
    paths = layers.token_trajectories(massive, tokens, LIGHT, "decoder", [1])
    assert sorted(name for path in paths.data for name in path.text if name) == [".", "cat", "the", "the"]
    assert max(np.abs([x for path in paths.data for x in path.x if x is not None])) < 20
    assert [mark["places"][0] for mark in paths.layout.meta["focus"]] == [0, 2, 3, 4]


def test_long_sentences_keep_every_dimension_and_its_sign() -> None:
    states = np.random.default_rng(0).normal(size=(2, 40, 576)).astype(np.float32)
    assert states[0].size > EXACT_CELLS
    drawn = heat(layers.activation_heatmap(states, 1, ["x"] * 40, LIGHT, "encoder"))
    assert drawn.z.shape == (40, 576)
    limit = np.abs(states[1]).max()
    np.testing.assert_allclose(np.asarray(drawn.z) / 100 * limit, states[1], atol=0.0051 * limit)


def test_depths_are_numbered_by_layer() -> None:
    states = np.random.default_rng(0).normal(size=(31, 3, 4))
    axis = layers.norm_heatmap(states, ["a", "b", "a"], LIGHT, "decoder").layout.xaxis
    assert dict(zip(axis.ticktext, axis.tickvals, strict=True))["10"] == 11  # after layer 10, the embedding being 0
    assert len(axis.ticktext) <= 13


def test_neurons_below_zero_are_drawn_and_read_as_such() -> None:
    neurons = np.random.default_rng(0).normal(size=(2, 3, 20)).astype(np.float32)
    neurons[1, :, 7] = -9.0
    figure = layers.neuron_heatmap(neurons[1], 1, ["a", "b", "a"], LIGHT, "decoder")
    drawn = np.asarray(heat(figure).z, float)
    assert not np.isnan(drawn).any()
    assert drawn.min() < 0 < drawn.max()
    assert "ReLU" not in figure.layout.title.text
    said = neuron_reading(neurons, 1)
    assert "**7**" in said
    assert "9.00" in said
    assert "fire" not in said
