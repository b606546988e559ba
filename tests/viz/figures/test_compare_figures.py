"""Figures of the pages Compare, Changes and Output: their data and labels, repeated tokens apart."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import pytest

from model.generation.decoding import BeamNode, Decoding
from model.measures import alignment, hidden_states, similarity
from model.measures.probabilities import most_probable, probabilities
from model.trace.edits import Edits
from model.trace.trace import Trace
from model.translator.translator import Translator
from viz.figures import changes, compare_heads, compare_runs, output
from viz.figures.theme import LIGHT, escape
from viz.saving import tables

A, B = "The cat saw the cat.", "The cat never saw the dog."


@pytest.fixture(scope="module")
def sides(lens: Translator) -> tuple[Trace, Trace]:
    return lens.trace(A), lens.trace(B)


def heat(figure: go.Figure) -> go.Heatmap:
    return next(part for part in figure.data if part.type == "heatmap")


def test_maps_of_two_sentences_share_an_axis_that_names_whose_each_token_is(sides: tuple[Trace, Trace]) -> None:
    a, b = (side.attentions["encoder"] for side in sides)
    pairs = alignment.align_tokens(a.queries, b.queries)
    axis = compare_runs.aligned_labels(pairs, a.queries, b.queries)
    assert len(axis.labels) == len(pairs) == len({i for i, _ in pairs} - {None}) + sum(i is None for i, _ in pairs)
    assert "cat (A)" in axis.labels
    assert "never (B)" in axis.labels
    rows = [i for i, _ in pairs]
    values = alignment.expand_to_alignment(a.weights(1)[2], rows, rows)
    figure = compare_runs.comparison_heatmap(
        values, axis, axis, "encoder", "A", LIGHT, unit="", side="a", limits=(0, 1)
    )
    drawn = np.array(heat(figure).z)
    for place, i in enumerate(rows):
        if i is None:
            assert np.isnan(drawn[place]).all()
        else:
            assert drawn[place, place] == pytest.approx(a.weights(1)[2, i, i])
    assert list(figure.layout.yaxis.ticktext) == list(map(escape, axis.labels))
    assert list(figure.layout.yaxis.tickvals) == list(range(len(pairs)))


def test_words_of_a_short_sentence_do_not_run_into_each_other(lens: Translator) -> None:
    """Three maps share a page: where the labels of one map lie flat they need all of it."""
    attention = lens.trace("The dog sees.").attentions["encoder"]
    axis = compare_runs.aligned_labels(
        alignment.align_tokens(attention.queries, attention.queries), attention.queries, attention.queries
    )
    assert len(axis.labels) <= 6
    for side in ("a", "b", "difference"):
        figure = compare_runs.comparison_heatmap(
            attention.weights(0)[0], axis, axis, "encoder", "", LIGHT, unit="", side=side
        )
        assert figure.layout.xaxis.tickangle == -60


def test_a_map_without_a_colour_bar_still_names_its_numbers(lens: Translator) -> None:
    attention = lens.trace("The dog saw the dog.").attentions["encoder"]
    axis = compare_runs.aligned_labels(
        alignment.align_tokens(attention.queries, attention.queries), attention.queries, attention.queries
    )
    for side, bar in (("a", False), ("b", None)):
        figure = compare_runs.comparison_heatmap(
            attention.weights(0)[0], axis, axis, "encoder", "", LIGHT, unit="weight", side=side
        )
        assert heat(figure).showscale is bar
        assert tables.figure_table(figure).columns[-1] == "weight"


def test_a_difference_is_centred_on_zero(sides: tuple[Trace, Trace]) -> None:
    attention = sides[0].attentions["encoder"]
    pairs = alignment.align_tokens(attention.queries, attention.queries)
    axis = compare_runs.aligned_labels(pairs, attention.queries, attention.queries)
    difference = attention.weights(1)[2] - attention.weights(0)[1]
    drawn = heat(
        compare_runs.comparison_heatmap(difference, axis, axis, "encoder", "", LIGHT, unit="", side="difference")
    )
    assert drawn.zmin == -drawn.zmax
    assert drawn.zmax == pytest.approx(np.abs(difference).max())
    np.testing.assert_array_equal(drawn.z, difference.astype(np.float32))


def test_every_head_is_on_the_map_and_on_the_wall(sides: tuple[Trace, Trace]) -> None:
    attention = sides[0].attentions["encoder"]
    points, kept = similarity.head_coordinates(attention)
    figure = compare_heads.head_scatter(points, kept, (1, 2), LIGHT)
    assert [tuple(head) for part in figure.data for head in part.customdata] == [
        (i, h) for i in range(3) for h in range(8)
    ]
    heads = [(0, 1), (2, 7), (1, 1), (0, 0), (2, 2)]
    wall = compare_heads.selected_heads_mosaic(attention, heads, LIGHT)
    assert [tuple(head) for head in wall.data[-1].customdata] == heads
    assert len(wall.layout.annotations) == 5
    alike = similarity.head_similarity(attention, 0, 1)
    drawn = compare_heads.head_similarity_heatmap(alike, (0, 1), LIGHT)
    np.testing.assert_allclose(heat(drawn).z, alike, atol=1e-6)
    assert len(drawn.data[-1].customdata) == 24


def test_where_two_runs_part(sides: tuple[Trace, Trace]) -> None:
    a, b = sides
    pairs = alignment.align_tokens(a.tokens["encoder"], b.tokens["encoder"])
    distance = hidden_states.state_distance(a.hidden_states["encoder"], b.hidden_states["encoder"], pairs)
    axis = compare_runs.aligned_labels(pairs, a.tokens["encoder"], b.tokens["encoder"])
    drawn = np.array(heat(compare_runs.state_distance_heatmap(distance, axis, list("0123"), LIGHT)).z)
    assert drawn.shape == (4, len(pairs))
    assert drawn[0, 0] == pytest.approx(0, abs=1e-6)  # the same token in the same place enters alike
    assert drawn[3, 0] > 0.01
    bits = similarity.row_divergence(
        a.attentions["encoder"].weights(0)[0], b.attentions["encoder"].weights(0)[0], pairs, pairs
    )
    np.testing.assert_allclose(compare_runs.row_divergence_bars(bits, axis, LIGHT).data[0].y, bits, atol=1e-6)


def test_heads_are_ranked_by_what_their_silence_does() -> None:
    effects = {"encoder": np.array([[0.1, 0.5]]), "cross": np.array([[0.3, 0.0], [0.9, 0.2]])}
    assert changes.heads_by_effect(effects)[:3] == [("cross", 1, 0), ("encoder", 0, 1), ("cross", 0, 0)]
    figure = changes.head_effect_bars(effects, "bits", LIGHT, most=3)
    bars = {int(y): float(x) for part in figure.data for x, y in zip(part.x, part.y, strict=True)}
    assert [bars[i] for i in range(3)] == pytest.approx([0.9, 0.5, 0.3])
    np.testing.assert_allclose(
        heat(changes.head_effect_heatmap(effects["cross"], "cross", "bits", LIGHT)).z, effects["cross"]
    )


def test_candidates_before_and_after(lens: Translator) -> None:
    before, after = (lens.trace(A, "Le chat a vu le chat.", edits).logits for edits in (None, Edits(positions="off")))
    assert before is not None
    assert after is not None
    p, q = probabilities(before[2]), probabilities(after[2])
    best = most_probable(p + q, 8)
    labels = lens.labels(best.tolist())
    figure = changes.candidate_bars(p[best], q[best], labels, LIGHT, "")
    np.testing.assert_allclose(figure.data[0].x, p[best], atol=1e-6)
    np.testing.assert_allclose(figure.data[1].x, q[best], atol=1e-6)
    assert list(figure.layout.yaxis.ticktext) == list(labels)


def test_what_every_head_looked_at_from_one_step(sides: tuple[Trace, Trace]) -> None:
    attention = sides[0].attentions["decoder"]
    figure = output.query_heatmap(attention, 3, LIGHT)
    drawn = np.array(heat(figure).z)
    assert drawn.shape == (24, 4)  # later tokens may not be looked at, and have no column
    np.testing.assert_allclose(drawn[8 + 5], attention.weights(1)[5, 3, :4], atol=1e-7)
    np.testing.assert_allclose(drawn.sum(1), 1, atol=1e-6)


def test_the_beam_tree_draws_every_text_that_was_kept(lens: Translator) -> None:
    decoded = lens.decode(A, Decoding("beam", beams=3))
    labels = lens.labels([node.token for node in decoded.tree])
    figure = output.beam_tree(decoded.tree, labels, [], LIGHT)
    kept = sum(node.fate == "kept" for node in decoded.tree)
    assert len(figure.data[2].x) == kept
    assert len(figure.data[3].x) == sum(node.fate == "ended" for node in decoded.tree)
    small = [BeamNode(-1, 1, 5, -0.1, "kept"), BeamNode(-1, 1, 6, -0.2, "dropped"), BeamNode(0, 2, 7, -0.3, "ended")]
    assert list(output.beam_tree(small, ["a", "b", "c"], [0, 2], LIGHT).data[1].y) == [0, 0, None, 0, 0, None]


def test_the_logit_lens_shows_each_layers_likeliest_token(lens: Translator, sides: tuple[Trace, Trace]) -> None:
    trace = sides[0]
    logits = lens.layer_logits(A)
    assert logits is not None
    best = logits.softmax(-1).max(-1)
    names = [lens.labels(row) for row in best.indices.tolist()]
    figure = output.logit_lens(best.values.numpy(), names, trace.tokens["decoder"].texts, LIGHT)
    assert heat(figure).customdata[3][0] == trace.predicted[0]  # type: ignore[index]
    assert heat(figure).z.shape == (4, len(trace.tokens["decoder"]))
    assert len(figure.layout.xaxis.tickvals) == len(trace.tokens["decoder"])
