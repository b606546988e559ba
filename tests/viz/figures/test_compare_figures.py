"""Figures of the pages Compare, Changes and Output: their data and labels, repeated tokens apart."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import pytest
import torch

from model.measures import alignment, hidden_states, similarity
from model.measures.probabilities import most_probable, probabilities
from model.trace.decoding import BeamNode, Decoding
from model.trace.edits import Edits
from model.trace.tokens import Picture
from model.trace.trace import Trace
from model.translator.translator import Translator
from viz.figures import changes, compare_heads, compare_runs, output
from viz.figures.heads import head_mosaic
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


def test_a_b_and_their_difference_have_equal_cells_and_one_left_edge(sides: tuple[Trace, Trace]) -> None:
    a, b = (side.attentions["encoder"] for side in sides)
    pairs = alignment.align_tokens(a.queries, b.queries)
    axis = compare_runs.aligned_labels(pairs, a.queries, b.queries)
    maps = [
        alignment.expand_to_alignment(one.weights(1)[2], places, places)
        for one, places in zip((a, b), zip(*pairs, strict=True), strict=True)
    ]
    figures = [
        compare_runs.comparison_heatmap(values, axis, axis, "encoder", "", LIGHT, unit="w", side=side, limits=(0, 1))
        for values, side in zip([*maps, maps[1] - maps[0]], ("a", "b", "difference"), strict=True)
    ]
    sizes = {(one.layout.height, *(one.layout.margin[side] for side in "lrtb")) for one in figures}
    assert len(sizes) == 1
    assert len({one.layout.yaxis.title.text for one in figures}) == 1  # it takes the same room in each
    assert [(heat(one).zmin, heat(one).zmax) for one in figures[:2]] == [(0, 1), (0, 1)]
    bars = [heat(one).colorbar for one in figures]
    assert [list(bar.tickvals) for bar in bars[:2]] == [[0, 0.5, 1], [0, 0.5, 1]]
    assert bars[2].tickvals[1] == 0
    assert all(tables.figure_table(one).columns[-1] == "w" for one in figures)


def test_labels_of_a_small_map_do_not_run_into_each_other(lens: Translator) -> None:
    for text in ("The dog sees.", "The dog sees the cat that sees the dog that sees the cat that saw the dog."):
        tokens = lens.trace(text).attentions["encoder"].queries
        axis = compare_runs.aligned_labels(alignment.align_tokens(tokens, tokens), tokens, tokens)
        values = lens.trace(text).attentions["encoder"].weights(0)[0]
        for side in ("a", "b", "difference"):
            figure = compare_runs.comparison_heatmap(values, axis, axis, "encoder", "", LIGHT, unit="", side=side)
            assert figure.layout.xaxis.tickangle == (-60 if len(tokens) <= 10 else -90)
            apart = np.diff(figure.layout.xaxis.tickvals).min() * compare_runs.MAP_WIDTH / len(tokens)
            assert apart >= compare_runs.MIN_LABEL - 1
            labels = [axis.labels[i] for i in figure.layout.xaxis.tickvals]
            assert list(figure.layout.xaxis.ticktext) == list(map(escape, labels))


def test_rows_of_all_three_maps_are_the_same_token(sides: tuple[Trace, Trace]) -> None:
    """ "the" and "cat" repeat in the first sentence: places, not words, are linked."""
    a, b = (side.attentions["encoder"] for side in sides)
    pairs = alignment.align_tokens(a.queries, b.queries)
    own, alone = compare_runs.focus_marks(pairs, "encoder")
    assert (own["stack"], alone["stack"]) == ("encoder", compare_runs.ALONE)
    assert own["places"] == list(range(len(a.queries)))
    assert [pairs[at][0] for at in own["at"]] == own["places"]  # type: ignore[attr-defined]
    assert [pairs[at] for at in alone["at"]] == [(None, j) for j in alone["places"]]  # type: ignore[attr-defined]
    assert "never" in [b.queries.texts[j] for j in alone["places"]]  # type: ignore[attr-defined]
    axis = compare_runs.aligned_labels(pairs, a.queries, b.queries)
    values = np.zeros((len(pairs), len(pairs)))
    marks = [own, alone]
    figures = [
        compare_runs.comparison_heatmap(values, axis, axis, "encoder", "", LIGHT, unit="", side=side, focus=marks)
        for side in ("a", "b", "difference")
    ]
    assert all(list(figure.layout.meta["focus"]) == marks for figure in figures)
    bars = compare_runs.row_divergence_bars(
        np.zeros(len(pairs)), axis, LIGHT, compare_runs.focus_marks(pairs, "encoder", "x")
    )
    assert [mark["axis"] for mark in bars.layout.meta["focus"]] == ["x", "x"]


def test_pictures_are_compared_on_one_scale() -> None:
    generator = np.random.default_rng(0)
    picture = Picture(generator.integers(0, 255, (16, 24, 3)).astype(np.uint8), 2, 3, 1)
    a, b = (generator.dirichlet(np.ones(7)) for _ in range(2))
    most, spread = max(a[1:].max(), b[1:].max()), np.abs(b - a)[1:].max()
    figures = [
        compare_runs.picture_comparison(
            picture,
            values,
            4,
            "1,0",
            side,
            LIGHT,
            side=side,
            most=spread if side == "difference" else most,
        )
        for side, values in (("a", a), ("b", b), ("difference", b - a))
    ]
    assert [(heat(one).zmin, heat(one).zmax) for one in figures] == [(0, most), (0, most), (-spread, spread)]
    np.testing.assert_allclose(heat(figures[2]).z, (b - a)[1:].reshape(2, 3), atol=1e-6)
    assert len({(one.layout.height, one.layout.margin.l, one.layout.margin.t) for one in figures}) == 1
    (mark,) = figures[0].layout.meta["focus"]
    assert (mark["axis"], mark["rows"], mark["columns"], mark["first"]) == ("grid", 2, 3, 1)


def test_the_tiles_to_pick_from_fit_their_column(sides: tuple[Trace, Trace]) -> None:
    mosaic = head_mosaic(sides[0].attentions["encoder"], LIGHT)
    picker = compare_heads.picker_mosaic(mosaic)
    assert picker.layout.height < mosaic.layout.height
    assert picker.layout.meta["tiles"] == {"layers": 3, "heads": 8}
    assert picker.data[0].customdata == mosaic.data[0].customdata
    assert mosaic.layout.height == head_mosaic(sides[0].attentions["encoder"], LIGHT).layout.height  # left as it was
    assert picker.layout.title.text == mosaic.layout.title.text


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
    assert heat(compare_runs.state_distance_heatmap(distance, axis, list("0123"), LIGHT, 0.5)).zmax == 0.5
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
    maps = changes.head_effect_heatmaps(effects, "bits", LIGHT)
    for kind, values in effects.items():
        np.testing.assert_allclose(heat(maps[kind]).z, values)
        assert heat(maps[kind]).zmax == 0.9  # all on one scale, up to the largest effect of all kinds
        assert heat(maps[kind]).zmin == 0


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
    logits = torch.cat([*lens.layer_logits(A)])
    assert logits is not None
    best = logits.softmax(-1).max(-1)
    names = [lens.labels(row) for row in best.indices.tolist()]
    figure = output.logit_lens(best.values.numpy(), names, trace.tokens["decoder"].texts, ("decoder", range(9)), LIGHT)
    assert heat(figure).customdata[3][0] == trace.predicted[0]  # type: ignore[index]
    assert heat(figure).z.shape == (4, len(trace.tokens["decoder"]))
    assert len(figure.layout.xaxis.tickvals) == len(trace.tokens["decoder"])
