"""A text shaded and underlined by one token, and what the browser gets of it."""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import replace

import numpy as np

from model.tokenization.text_layout import place_tokens
from model.trace.tokens import Tokens
from viz.figures.theme import LIGHT
from viz.figures.tinted_text import TextMap, TextSide, tinted_text
from viz.language.text_readings import focus_reading
from viz.saving.still_image import still_image
from viz.saving.tables import focus_table
from viz.widgets.tinted_text import message, side_html

TEXT = "cat saw\n  cat <b>"
TOKENS = Tokens(("[CLS]", "cat", "saw", "cat", "<b>"), (True, False, False, False, False), (False,) * 5)
WEIGHTS = np.array(
    [
        [1.0, 0.0, 0.0, 0.0, 0.0],
        [0.5, 0.5, 0.0, 0.0, 0.0],
        [0.6, 0.3, 0.1, 0.0, 0.0],
        [0.2, 0.6, 0.1, 0.1, 0.0],
        [0.2, 0.0, 0.0, 0.8, 0.0],
    ],
    np.float32,
)
MAP = TextMap(WEIGHTS, TOKENS, TOKENS, ("encoder", "encoder"))
SIDE = TextSide("Text", place_tokens(TOKENS, TEXT), "encoder", frozenset({2}))


def test_each_token_is_shaded_by_its_own_weight_where_it_stands() -> None:
    figure = tinted_text([SIDE], MAP, 3, "Title", LIGHT)
    z = np.asarray(figure.data[0].z)
    words = figure.data[1]
    assert list(words.text) == ["[CLS]", "cat", "saw", "cat", "&lt;b&gt;"]
    first, second = (i for i, text in enumerate(words.text) if text == "cat")  # the two have their own places
    assert z[int(words.y[first]), round(words.x[first] + 0.4)] == np.float32(0.6)
    assert (words.y[second], round(words.x[second] + 0.4)) == (1.0, 2)  # the next line, two spaces in
    assert z[1, 2] == np.float32(0.1)
    ruled = [x for x in figure.data[2].x if x is not None]
    assert len(ruled) == 2  # of the others only <b> looks at the second "cat"
    assert round(ruled[0] + 0.4) == 6
    assert still_image(figure, "#fff", "svg").startswith(b"<?xml")


def test_shares_stand_before_their_lines_and_marks_at_their_tokens() -> None:
    marked = {"joined": frozenset({3}), "strand": frozenset({1, 3})}
    side = replace(SIDE, margin={1: "90%", 3: "10%"}, pale=frozenset({3}), marked=marked)
    figure = tinted_text([side], MAP, 3, "Title", LIGHT)
    words = figure.data[1]
    at = {text: (round(x + 0.4), y) for text, x, y in zip(words.text, words.x, words.y, strict=True)}
    assert (at["90%"][0], at["10%"][0]) == (0, 0)
    assert (at["cat"], at["<i>cat</i>"]) == (
        (7, at["90%"][1]),
        (7, at["10%"][1]),
    )  # what begins a line stands behind its share
    assert at["90%"][1] > at["[CLS]"][1]
    starts = {
        one.name: [(round(x + 0.4), round(y)) for x, y in zip(one.x[::3], one.y[::3], strict=True)]
        for one in figure.data[3:]
    }
    saw, first, second = at["saw"], at["cat"], at["<i>cat</i>"]
    assert starts["copied"] == [saw]
    assert [x for x, _ in starts["strand"]] == [first[0], second[0]]
    assert [one.name for one in figure.data[3:]].count("joined") == 2  # a double line
    assert still_image(figure, "#fff", "svg").startswith(b"<?xml")


def test_marks_take_no_part_in_the_scale() -> None:
    assert MAP.rests.tolist() == [True, False, False, False, False]
    np.testing.assert_allclose(MAP.scales, [0.02, 0.5, 0.3, 0.6, 0.8])  # who looks at no word shades none
    np.testing.assert_allclose(MAP.rested(), WEIGHTS[:, 0])
    assert MAP.steps()[2].tolist() == [255, 255, 85, 0, 0]


def test_the_browser_gets_the_same_numbers() -> None:
    names = [["a"] * 5, ["b"] * 5]
    sent = message(MAP, names)
    (length,) = struct.unpack_from("<I", sent)
    header = json.loads(sent[4 : 4 + length])
    numbers = zlib.decompress(sent[4 + length :])
    assert (header["rows"], header["columns"], header["stacks"]) == (5, 5, ["encoder", "encoder"])
    scales = np.frombuffer(numbers, np.float32, 5)
    cells = np.frombuffer(numbers, np.uint8, 25, 40).reshape(5, 5)
    np.testing.assert_allclose((cells / 255 * scales[:, None])[1:, 1:], WEIGHTS[1:, 1:], atol=0.002)


def test_a_text_of_2000_tokens_is_one_small_message() -> None:
    many = Tokens(tuple(f"w{i}" for i in range(2000)), (False,) * 2000, (False,) * 2000)
    weights = np.random.default_rng(0).dirichlet(np.full(2000, 0.02), 2000).astype(np.float32)
    assert len(message(TextMap(weights, many, many, ("decoder", "decoder")), [many.texts, many.texts])) < 1_500_000


def test_the_html_keeps_the_text_and_escapes_it() -> None:
    html = side_html(SIDE, [range(5)])
    assert "<b>" not in html
    assert ">saw</span>\n  <span" in html
    assert html.count('tabindex="0"') == 1
    assert 'class="read-token copied"' in html
    covered = side_html(SIDE, [range(0, 3), range(3, 5)], [0.9, 0.1], [False, True])
    assert covered.count("pale") == 1
    assert "90%" in covered


def test_the_sentence_and_the_table_say_the_numbers() -> None:
    names = [[TOKENS.name(i) for i in range(5)]] * 2
    said = focus_reading(WEIGHTS[3], WEIGHTS[:, 3], MAP.rests, names, 3)
    assert "60%" in said  # at the other "cat"
    assert "20%" in said  # on marks
    assert "80%" in said  # from <b>
    table = focus_table(WEIGHTS, TOKENS, TOKENS, 3, one_text=True)
    assert table.iloc[:, 2].tolist() == WEIGHTS[3].tolist()
    assert table.iloc[:, 3].tolist() == WEIGHTS[:, 3].tolist()
