"""Figures of heads and masks: each number at its label, repeated tokens apart."""

from __future__ import annotations

import json
import struct
import zlib

import numpy as np
import plotly.graph_objects as go
import pytest

from model.maps.given_weights import WeightsOnlyLayer
from model.trace.attention import Attention
from model.trace.tokens import Tokens
from model.trace.trace import Trace
from model.translator.translator import Translator
from viz.figures import masks
from viz.figures.cell_pooling import max_pooled
from viz.figures.grid import MAX_BORDERED, MAX_TICKS, THINNED_TICKS, axis_ticks, grid
from viz.figures.heads import full_name, head_heatmap, head_mosaic, resize
from viz.figures.lines import MAX_LINES, token_lines
from viz.figures.theme import LIGHT, escape, rgba_colours, two_line_title
from viz.language import readings
from viz.language.messages import say
from viz.sections.heads import head_view


@pytest.fixture(scope="module")
def trace(lens: Translator) -> Trace:
    return lens.trace("That that is, is.", target="Ce qui est, est.")


def heat(figure: go.Figure) -> go.Heatmap:
    return next(part for part in figure.data if part.type == "heatmap")


def label_of(figure: go.Figure, axis: str, place: int) -> str:
    """The full label that the hover text shows."""
    return figure.layout[axis].ticktext[list(figure.layout[axis].tickvals).index(place)]


@pytest.mark.parametrize("kind", ["encoder", "decoder", "cross"])
def test_heatmap_has_every_weight_at_its_own_label(trace: Trace, kind: str) -> None:
    attention = trace.attentions[kind]
    figure = head_heatmap(attention, 1, 4, LIGHT)
    cells, weights = np.array(heat(figure).z), attention.weights(1)[4]
    for q, query in enumerate(attention.query_tokens):
        assert label_of(figure, "yaxis2", q) == escape(full_name(attention.queries, q))
        assert figure.layout.yaxis.ticktext[q] == escape(query)
        for k, key in enumerate(attention.key_tokens):
            assert label_of(figure, "xaxis2", k) == escape(full_name(attention.keys, k))
            assert figure.layout.xaxis.ticktext[k] == escape(key)
            if attention.mask(1)[q, k]:
                assert cells[q, k] == weights[q, k]
            else:
                assert np.isnan(cells[q, k])
    assert attention.key_tokens.count("is") == 2 or kind == "decoder"  # a repeated token keeps both its columns
    assert figure.layout.yaxis.range[0] > figure.layout.yaxis.range[1]  # first query on top
    assert figure.layout.xaxis.title.text == say(f"kinds.{kind}_asked")
    assert figure.layout.yaxis.title.text == say(f"kinds.{kind}_asks")


def test_the_raw_piece_is_named_where_it_differs() -> None:
    tokens = Tokens(("cat", "·ing", "cat", "."), (False,) * 4, raw=("Ġcat", "##ing", "cat", "."))
    assert [full_name(tokens, i) for i in range(4)] == ["cat (0) [Ġcat]", "·ing [##ing]", "cat (2)", "."]


def test_hidden_specials_leave_the_right_cells(trace: Trace) -> None:
    attention = trace.attentions["cross"]
    cells = np.array(heat(head_heatmap(attention, 2, 0, LIGHT, specials=False)).z)
    np.testing.assert_array_equal(cells, attention.weights(2)[0][1:, :-1])


def test_arrays_travel_as_base64(trace: Trace) -> None:
    sent = json.loads(head_heatmap(trace.attentions["encoder"], 0, 0, LIGHT).to_json())
    assert sent["data"][0]["z"]["dtype"] == "f4"


def test_labels_are_thinned_and_markup_is_shown_as_text() -> None:
    many = axis_ticks(["word"] * 512)
    assert 12 < len(many["tickvals"]) <= THINNED_TICKS  # type: ignore[arg-type]
    assert len(axis_ticks(["word"] * MAX_TICKS)["tickvals"]) == MAX_TICKS  # type: ignore[arg-type]
    assert axis_ticks(["<b>x</b>"])["ticktext"] == ["&lt;b&gt;x&lt;/b&gt;"]
    assert len(axis_ticks([str(i) for i in range(1024)])["tickvals"]) <= 8  # type: ignore[arg-type]
    assert axis_ticks(["a", "b", "a"])["ticktext"] == ["a", "b", "a"]


def test_grid_refuses_labels_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match=r"\(2, 3\), but there are 2 rows and 2 columns"):
        grid(
            np.zeros((2, 3)), rows="ab", columns="ab", title="", row_title="", column_title="", unit="", hover="",
            palette=LIGHT,
        )  # fmt: skip


def test_lines_part_the_cells_of_a_small_map_and_its_box_lies_over_them(trace: Trace) -> None:
    attention = trace.attentions["cross"]
    rows, columns = len(attention.queries), len(attention.keys)
    lines, box = head_heatmap(attention, 0, 0, LIGHT, row=1).layout.shapes
    ends = [f"M{i - 0.5},-0.5V{rows - 0.5}" for i in range(1, columns)]
    ends += [f"M-0.5,{i - 0.5}H{columns - 0.5}" for i in range(1, rows)]
    assert lines.path == "".join(ends)
    assert (lines.line.color, box.type) == (LIGHT.page, "rect")
    assert not head_heatmap(
        long(MAX_BORDERED + 1, np.eye(MAX_BORDERED + 1, dtype=np.float32)), 0, 0, LIGHT
    ).layout.shapes
    one = head_heatmap(long(1, np.ones((1, 1), np.float32)), 0, 0, LIGHT)
    assert not one.layout.shapes  # nothing is between


def test_mosaic_reports_layer_and_head_where_its_thumbnail_is(trace: Trace) -> None:
    attention = trace.attentions["cross"]
    figure = head_mosaic(attention, LIGHT, selected=(2, 1))
    markers = figure.data[0]
    assert len(figure.layout.images) == 1
    for x, y, custom in zip(markers.x, markers.y, markers.customdata, strict=True):
        assert (y, x) == tuple(custom)
    assert len(markers.x) == attention.num_layers * attention.num_heads
    box = figure.layout.shapes[0]
    assert (box.x0 + box.x1, box.y0 + box.y1) == (2, 4)


def test_resize_keeps_spikes_and_repeats_cells() -> None:
    large = np.zeros((300, 300))
    large[123, 217] = 1
    assert resize(large, 56).max() == 1
    small = resize(np.array([[1.0, 2], [3, 4]]), 56)
    assert small.shape == (56, 56)
    assert (small[:28, 28:] == 2).all()


def test_lines_run_from_the_query_to_the_key(trace: Trace) -> None:
    attention = trace.attentions["cross"]
    figure = token_lines(attention, 2, 5, LIGHT)
    drawn = sum(np.isfinite(np.array(part.x)).sum() // 2 for part in figure.data if part.mode == "lines")
    assert drawn == (attention.weights(2)[5] >= 0.02).sum()
    names = [name for part in figure.data if part.mode == "text" for name in part.text]
    assert names.count("is") == 2


def test_of_very_many_lines_the_strongest_are_drawn() -> None:
    weights = 0.5 + np.arange(40_000, dtype=np.float32).reshape(200, 200) / 100_000
    figure = token_lines(long(200, weights), 0, 0, LIGHT)
    ends = [np.array(part.y).reshape(-1, 3) for part in figure.data if part.mode == "lines"]
    drawn = {(round(left - 0.5), round(right - 0.5)) for part in ends for left, right, _ in part.tolist()}
    assert drawn == {(199, key) for key in range(200 - MAX_LINES, 200)}


def long(size: int, weights: np.ndarray) -> Attention:
    """One head of one layer over many tokens, with weights as given."""
    tokens = Tokens(tuple(f"t{i}" for i in range(size)), (False,) * size)
    return Attention("encoder", tokens, tokens, 1, 0, (WeightsOnlyLayer(weights[None]),))


def test_a_large_map_is_pooled_and_keeps_every_spike() -> None:
    size = 500
    weights = np.full((size, size), 0.001, np.float32)
    weights[333, 77] = 0.9
    weights[:, 250:] = 0  # forbidden
    figure = head_heatmap(long(size, weights), 0, 0, LIGHT, row=333)
    cells = np.array(heat(figure).z)
    assert cells.shape == (96, 96)
    assert figure.layout.meta["pooled"] == [6, 6]
    (row,), (column,) = np.nonzero(cells == np.float32(0.9))
    assert label_of(figure, "yaxis2", row) == "t333 … t337"
    assert label_of(figure, "xaxis2", column) == "t72 … t77"
    assert np.isnan(cells[:, 48:]).all()
    assert figure.layout.shapes[0].y0 == row - 0.5  # the box is drawn around the group of its row
    assert len(figure.to_json()) < 64_000 + 4 * cells.size


def test_a_part_of_a_large_map_is_drawn_cell_by_cell() -> None:
    weights = np.eye(500, dtype=np.float32)
    figure = head_heatmap(long(500, weights), 0, 0, LIGHT, window=(range(100, 180), range(120, 220)))
    assert "pooled" not in figure.layout.meta
    assert figure.layout.meta["focus"][0]["places"] == list(range(100, 180))
    assert np.array(heat(figure).z).shape == (80, 100)
    assert label_of(figure, "yaxis2", 3) == "t103"
    assert heat(figure).z[20, 0] == 1


def test_the_browser_gets_every_head_of_the_layer_as_bytes(trace: Trace) -> None:
    attention = trace.attentions["decoder"]
    sent = head_view.message(trace, attention, 1, LIGHT, True, None)
    (length,) = struct.unpack_from("<I", sent)
    header = json.loads(sent[4 : 4 + length])
    shape = header["heads"], header["rows"], header["columns"]
    assert shape == attention.weights(1).shape
    body = zlib.decompress(sent[4 + length :])
    colours, cells = np.frombuffer(body[:1024], np.uint8), np.frombuffer(body[1024:], np.uint8).reshape(shape)
    allowed = attention.mask(1)
    np.testing.assert_allclose(cells[:, allowed] / 254, attention.weights(1)[:, allowed], atol=0.002)
    assert (cells[:, ~allowed] == 255).all()
    assert header["heading"].format(layer=1, head=3) == "Layer 1, head 3"
    assert header["names"][0] == [attention.queries.name(i) for i in range(shape[1])]
    assert header["places"] == [list(range(shape[1])), list(range(shape[2]))]
    assert header["next"] == list(trace.predicted or ())
    assert header["reading"]["key"].count("**") == 2  # bold type, which the browser sets
    np.testing.assert_array_equal(colours.reshape(256, 4)[[0, 254]], rgba_colours(np.array([0, 1]), LIGHT.sequential))
    assert not colours[-4:].any()


def test_pooling_a_signed_map_keeps_what_is_farthest_from_zero() -> None:
    values = np.zeros((192, 192), np.float32)
    values[10, 10], values[11, 11], values[190, 3] = 0.5, -2, 0.25
    small = max_pooled(values, signed=True)
    assert small.shape == (96, 96)
    assert small[5, 5] == -2
    assert small[95, 1] == 0.25
    assert max_pooled(values[:96, :96]).shape == (96, 96)


def test_mask_map_marks_what_is_forbidden(trace: Trace) -> None:
    attention = trace.attentions["decoder"]
    figure = masks.mask_heatmap(attention, 0, LIGHT, "")
    size = len(attention.query_tokens)
    assert np.isnan(heat(figure).z).sum() == size * (size - 1) / 2 == len(figure.data[2].x)
    assert (np.array(figure.data[2].x) > np.array(figure.data[2].y)).all()
    assert say("masks.forbids_later", cells=size * (size - 1) // 2) in readings.mask_reading(attention, 0, trace.edits)
    assert np.isfinite(heat(masks.score_heatmap(attention, 0, 0, LIGHT, masked=False)).z).all()


def test_a_weight_of_all_has_its_line(trace: Trace) -> None:
    attention = trace.attentions["decoder"]  # its first token can look at itself only
    lines = [part for part in token_lines(attention, 0, 0, LIGHT).data if part.mode == "lines"]
    ends = {(float(part.y[i]), float(part.y[i + 1])) for part in lines for i in range(0, len(part.y), 3)}
    assert attention.weights(0)[0, 0, 0] == 1
    assert min(ends) == (min(start for start, _ in ends), min(end for _, end in ends))
    strong = (attention.weights(0)[0] >= 0.02).sum()
    assert sum(len(part.y) // 3 for part in lines) == strong


def test_labels_lie_flat_only_where_a_phone_has_room_and_a_narrow_maps_title_has_two_lines() -> None:
    def drawn(columns: list[str], narrow: bool = False) -> go.Layout:
        values = np.ones((1, len(columns)), np.float32)
        asked = "key: input token that is asked"
        return grid(
            values, rows=["a"], columns=columns, title="", row_title="", column_title=asked, unit="", hover="",
            palette=LIGHT, narrow=narrow,
        ).layout  # fmt: skip

    assert drawn(["I", "am", "you"]).xaxis.tickangle == 0
    assert drawn(["[CLS]", "Paris", "is", "so", "pretty", ".", "[SEP]"]).xaxis.tickangle == -60
    assert drawn(["a"]).xaxis.title.text == "key: input token that is asked"
    narrow = drawn(["a"], narrow=True)
    assert narrow.xaxis.title.text == "key: input token<br>that is asked"
    assert narrow.margin.b > drawn(["a"]).margin.b
    assert two_line_title("one") == "one"
