"""Tiles with what is said of their heads, and pictures whose patches can be chosen."""

from __future__ import annotations

import base64
import zlib

import numpy as np
import pytest

from model.measures.head_characters import Character, head_characters
from model.trace.attention import Attention
from model.trace.tokens import Picture, Tokens
from tests.model.measures.test_measures import Fixed
from viz.figures.heads import head_mosaic, mosaic_is_transposed
from viz.figures.pictures import TINT_STEPS, patch_overlay
from viz.figures.theme import LIGHT
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
    assert texts[0].endswith("as if it looked at 5.0 tokens alike")
    assert texts[1].endswith("as if it looked at 1.0 tokens alike")
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
    ("layers", "heads", "transposed"),
    [(3, 8, False), (12, 12, False), (6, 12, False), (30, 9, True), (24, 16, True)],
)
def test_layers_go_across_in_models_of_many_layers(layers: int, heads: int, transposed: bool) -> None:
    assert mosaic_is_transposed(layers, heads) == transposed


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
