"""Figures of Output, Masks and Changes that are clicked, played or marked: what they report, light and measure."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import pytest
import torch

from model.generation.search import filtered_probabilities
from model.libraries.script import function_source, library_source
from model.measures.probabilities import most_probable, probabilities, sampling_probabilities
from model.trace.decoding import Decoding
from model.trace.edits import Edits
from model.trace.trace import Trace
from model.translator.translator import Translator
from viz.figures import changes, libraries, masks, output
from viz.figures.bar_below import with_room_below
from viz.figures.theme import LIGHT, enlarged_figure

TEXT = "The cat saw the cat."  # repeats a token


@pytest.fixture(scope="module")
def trace(lens: Translator) -> Trace:
    return lens.trace(TEXT, target="Le chat a vu le chat.")


def heat(figure: go.Figure) -> go.Heatmap:
    return next(part for part in figure.data if part.type == "heatmap")


def places(figure: go.Figure) -> list[int]:
    return list(figure.layout.meta["focus"][0]["places"])


def test_every_cell_of_a_mask_reports_itself_and_whether_it_is_the_last_of_its_row(lens: Translator) -> None:
    edited = lens.trace(TEXT, "Le chat a vu le chat.", Edits(allowed={("decoder", 1, 4)}))
    attention = edited.attentions["decoder"]
    allowed, size = attention.mask(0), len(attention.queries)
    figure = masks.mask_heatmap(attention, 0, LIGHT, "", clickable=True)
    cells = figure.data[-1]
    assert len(cells.x) == size * size
    for x, y, (query, key, may, only) in zip(cells.x, cells.y, cells.customdata, strict=True):
        assert (x, y) == (key, query)
        assert bool(may) == allowed[query, key] == (key <= query or (query, key) == (1, 4))
        assert bool(only) == ((query, key) == (0, 0))
    # What is under the pointer reports nothing but the cell.
    assert [part.hoverinfo for part in figure.data[:-1]] == ["skip"] * 3
    assert places(figure) == list(range(size))


def test_scores_before_and_after_the_mask_have_one_scale_and_the_masks_cells(trace: Trace) -> None:
    attention = trace.attentions["decoder"]
    mask = masks.mask_heatmap(attention, 1, LIGHT, "")
    before, after = (masks.score_heatmap(attention, 1, 3, LIGHT, masked=masked) for masked in (False, True))
    assert (heat(before).zmin, heat(before).zmax) == (heat(after).zmin, heat(after).zmax)
    np.testing.assert_array_equal(heat(before).z, attention.scores(1, masked=False)[3])
    assert (np.isfinite(heat(after).z) == attention.mask(1)).all()
    sizes = set()
    for figure in (mask, before, after):
        margin = figure.layout.margin
        sizes.add((figure.layout.height - margin.t - margin.b, margin.l, margin.r))
    assert len(sizes) == 1
    drawn = [enlarged_figure(figure, 1.4).layout for figure in (with_room_below(mask), before, after)]
    assert len({(layout.height, layout.margin.t, layout.margin.b, layout.margin.autoexpand) for layout in drawn}) == 1
    assert drawn[0].height <= 410  # with the caption in sight, under the large type of a projector


@pytest.mark.parametrize("how", [(1.0, 0, 1.0), (0.5, 0, 1.0), (1.0, 5, 1.0), (1.3, 40, 0.8), (2.0, 0, 0.3)])
def test_the_chances_in_the_lot_are_those_that_are_drawn_from(trace: Trace, how: tuple[float, int, float]) -> None:
    assert trace.logits is not None
    temperature, top_k, top_p = how
    decoding = Decoding("sample", temperature=temperature, top_k=top_k, top_p=top_p)
    expected = filtered_probabilities(torch.tensor(trace.logits[2]).double(), decoding).numpy()
    found = sampling_probabilities(trace.logits[2], *how)
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert found.sum() == pytest.approx(1)


def test_of_the_next_tokens_the_written_one_is_lit(trace: Trace, lens: Translator) -> None:
    assert trace.logits is not None
    chances = probabilities(trace.logits[1])
    best = most_probable(chances, 10)
    labels = lens.labels(best.tolist())
    figure = output.next_token_bars(chances[best], labels, 0, LIGHT, "")
    np.testing.assert_allclose(figure.data[0].x, chances[best], atol=1e-6)
    assert list(figure.data[0].marker.color) == [LIGHT.accent] + [LIGHT.faint] * 9
    assert labels[0] == trace.predicted[1] == "chat"  # type: ignore[index]
    assert figure.layout.yaxis.ticktext[0] == "<b>chat</b>"
    none = output.next_token_bars(chances[best], labels, None, LIGHT, "")
    assert set(none.data[0].marker.color) == {LIGHT.faint}


def test_what_a_head_looks_at_has_a_bar_for_each_key_that_exists(trace: Trace) -> None:
    for kind, stack in (("decoder", "decoder"), ("cross", "encoder")):
        attention = trace.attentions[kind]
        figure = output.look_bars(attention, 1, 2, 3, LIGHT)
        bars = np.array(figure.data[0].y)
        allowed = attention.mask(1)[3]
        np.testing.assert_allclose(bars[allowed], attention.weights(1)[2, 3][allowed], atol=1e-7)
        assert np.isnan(bars[~allowed]).all()
        assert bars[allowed].sum() == pytest.approx(1, abs=1e-5)
        assert figure.layout.meta["focus"][0]["stack"] == stack
        assert len(figure.layout.xaxis.ticktext) == len(attention.keys)  # both "chat" keep their bar


def test_the_bar_of_the_chosen_token_differs(trace: Trace) -> None:
    tokens = trace.tokens["decoder"]
    names = [tokens.name(i) for i in range(len(tokens))]
    bits = np.linspace(0, 1, len(tokens))
    figure = changes.divergence_bars(bits, tokens.texts, names, 2, "decoder", LIGHT)
    assert [i for i, colour in enumerate(figure.data[0].marker.color) if colour == LIGHT.second] == [2]
    np.testing.assert_allclose(figure.data[0].y, bits, atol=1e-7)
    assert places(figure) == list(range(len(tokens)))


def test_a_librarys_map_is_linked_and_on_the_scale_of_all(trace: Trace) -> None:
    attention = trace.attentions["decoder"]
    figure = libraries.library_heatmap(attention.weights(0)[1], attention, 0, "", LIGHT)
    assert (heat(figure).zmin, heat(figure).zmax) == (0, 1)
    assert (np.isnan(heat(figure).z) == ~attention.mask(0)).all()
    assert places(figure) == list(range(len(attention.queries)))


@pytest.mark.parametrize("library", ["pytorch", "huggingface", "keras"])
@pytest.mark.parametrize("part", ["layer", "formula"])
def test_the_source_shown_is_that_of_the_function_line_by_line(library: str, part: str) -> None:
    source = function_source(library, part)
    assert source in library_source(library)
    assert f"def {part}(" in source
    other = {"layer": "formula", "formula": "layer"}[part]
    assert f"\ndef {other}(" not in source
    assert source.count("\n") > 5
