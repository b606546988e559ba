"""Tiles with what is said of their heads, and pictures whose patches can be chosen."""

from __future__ import annotations

import base64
import zlib

import numpy as np
import plotly.graph_objects as go
import pytest

import model
from model.measures.heads.head_characters import Character, head_characters
from model.trace.attention import Attention
from model.trace.tokens import Picture, Tokens
from tests.model.measures.test_measures import Fixed
from viz.figures.grid import grid
from viz.figures.heads import head_heatmap, head_mosaic
from viz.figures.lines import token_lines
from viz.figures.pictures import TINT_STEPS, patch_overlay
from viz.figures.theme import LIGHT
from viz.figures.tiles import tile_layout
from viz.language import readings

TOKENS = Tokens(("the", "cat", "saw", "the", "dog"), (False,) * 5)  # "the" repeats


def attention(*heads: np.ndarray) -> Attention:
    layer = Fixed(np.stack(heads).astype(np.float32))
    return Attention("encoder", TOKENS, TOKENS, len(heads), 1, (layer,))


def test_tiles_say_what_a_head_does_and_over_how_many_tokens_it_looks() -> None:
    shown = attention(np.full((5, 5), 0.2), np.roll(np.eye(5), -1, axis=1) * (1 - 5e-6) + 1e-6)
    found = head_characters(shown)
    said = [readings.head_character(found, 0, head) for head in (0, 1)]
    assert said == ["spreads over all tokens 100%", "looks at the previous token 100%"]
    texts = head_mosaic(shown, LIGHT, characters=said).data[0].text
    assert texts[0].startswith("layer 0, head 0 · spreads over all tokens 100%<br>")
    assert texts[0].endswith("as if it looked at 5.0 tokens equally")
    assert texts[1].endswith("as if it looked at 1.0 tokens equally")
    assert "the (0)" in texts[1] or "the (3)" in texts[1]
    assert head_mosaic(shown, LIGHT).data[0].text[1].startswith("layer 0, head 1<br>")


def test_the_clearest_character_is_named_one_special_token_before_all() -> None:
    def one(name: str, share: float, token: str = "") -> Character:
        return Character(name, token, *np.array([[[share]], [[0.1]], [[4]]]))

    both = (one("rests", 0.95), one("rests", 0.6, "</s>"), one("spreads", 0.99))
    assert readings.head_character(both, 0, 0) == "rests on </s> 60%"
    assert (
        readings.head_character((one("previous", 0.55), one("rests", 0.6)), 0, 0) == "looks at the previous token 55%"
    )
    assert readings.head_character((one("previous", 0.45),), 0, 0) == ""


@pytest.mark.parametrize(
    ("layers", "heads", "bands", "pixels"),
    [(3, 8, 1, 51), (12, 12, 1, 31), (6, 12, 1, 34), (30, 9, 2, 22), (24, 16, 1, 17), (1, 1, 1, 92), (61, 4, 3, 18)],
)
def test_tiles_are_as_large_as_the_room_allows_and_none_lies_on_another(
    layers: int, heads: int, bands: int, pixels: int
) -> None:
    tiles = tile_layout(layers, heads)
    assert (tiles.bands, round(tiles.tile)) == (bands, pixels)
    assert len({tuple(place) for place in tiles.places.tolist()}) == layers * heads
    assert (tiles.places.min(0) == 0).all()
    assert tiles.places.max(0).tolist() == [tiles.columns - 1, tiles.rows - 1]


def test_layers_of_a_second_band_have_their_numbers_beside_them() -> None:
    attention = model.Attention.from_arrays(np.full((30, 9, 2, 2), 0.5), ("a", "a"))
    mosaic = head_mosaic(attention, LIGHT, selected=(16, 2))
    marks, numbers = mosaic.data
    assert (marks.x[16 * 9 + 2], marks.y[16 * 9 + 2]) == (12, 1)
    assert dict(zip(numbers.text, numbers.y, strict=True))["16"] == 1
    assert set(numbers.x) == {9}  # the free column between the bands
    (box,) = mosaic.layout.shapes
    assert (box.x0 + box.x1) / 2 == 12
    heads = [text for place, text in zip(mosaic.layout.xaxis.tickvals, mosaic.layout.xaxis.ticktext, strict=True)]
    assert heads == [str(head) for head in range(9)] * 2


def test_labels_of_many_keys_beside_few_queries_do_not_lie_on_each_other() -> None:
    queries, keys = Tokens(("a", "b", "c"), (False,) * 3), Tokens(tuple("k" * 38), (False,) * 38)
    layer = Fixed(np.full((1, 3, 38), 1 / 38, np.float32))
    cross = Attention("cross", queries, keys, 1, 1, (layer,))
    heatmap = head_heatmap(cross, 0, 0, LIGHT, fit=True)
    rows = heatmap.layout.height - heatmap.layout.margin.t - heatmap.layout.margin.b
    labels = next(one for one in token_lines(cross, 0, 0, LIGHT, beside=heatmap).data if "k" in (one.text or ()))
    heights = [y for y, text in zip(labels.y, labels.text, strict=True) if text == "k"]
    apart = np.diff(heights).min() * rows / 3
    assert apart >= labels.textfont.size
    assert len(heights) > 8


def test_long_labels_left_of_the_lines_are_shortened_to_their_room() -> None:
    tokens = Tokens(("international", "cat"), (False,) * 2)
    shown = Attention("encoder", tokens, tokens, 1, 1, (Fixed(np.full((1, 2, 2), 0.5, np.float32)),))
    drawn = token_lines(shown, 0, 0, LIGHT, beside=head_heatmap(shown, 0, 0, LIGHT, fit=True))
    texts = [text for one in drawn.data for text in one.text or ()]
    assert [text for text in texts if text.startswith("inter")] == ["interna…", "internation…"]  # left, right


def test_a_title_longer_than_its_map_is_high_takes_two_lines() -> None:
    def titled(rows: int) -> go.Figure:
        labels = ["a"] * rows
        return grid(
            np.zeros((rows, 4)), rows=labels, columns=list("abcd"), row_title="query: token fed in, asks",
            title="", column_title="", unit="", hover="", palette=LIGHT, fit=True, limits=(0, 1),
        )  # fmt: skip

    low, high = titled(3).layout, titled(10).layout
    assert low.yaxis.title.text == "query: token<br>fed in, asks"
    assert high.yaxis.title.text == "query: token fed in, asks"
    assert low.margin.l == high.margin.l + 18


def test_a_patch_is_a_token_that_can_be_chosen() -> None:
    picture = Picture(np.zeros((16, 24, 3), np.uint8), rows=2, columns=3, first=1)
    rows = np.random.default_rng(0).dirichlet(np.ones(7), 7).astype(np.float32)
    figure = patch_overlay(picture, rows[5], 5, "1,1", LIGHT, rows)
    grid = {"axis": "grid", "stack": "encoder", "rows": 2, "columns": 3, "first": 1}
    assert figure.layout.meta["focus"] == [grid]
    tint = figure.layout.meta["tint"]
    assert tint["row"] == 5
    steps = np.frombuffer(zlib.decompress(base64.b64decode(tint["rows"])), np.uint8).reshape(7, 6)
    patches = rows[:, 1:]
    np.testing.assert_array_equal(steps.max(1), TINT_STEPS)
    np.testing.assert_allclose(
        steps / TINT_STEPS, patches / patches.max(1, keepdims=True), atol=0.5 / TINT_STEPS + 1e-6
    )
    assert "tint" not in patch_overlay(picture, rows[5], 5, "1,1", LIGHT).layout.meta
