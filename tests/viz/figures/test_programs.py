"""A program with arcs in its gutter, and the bars of who follows what."""

from __future__ import annotations

import json

import numpy as np

from model.measures.structure.linked_tokens import Followed
from model.tokenization.text_layout import place_tokens, token_spans, tokens_within
from model.trace.tokens import Tokens
from viz.figures.programs import Arc, gutter_arcs, program_text, relation_bars
from viz.figures.theme import LIGHT
from viz.figures.tinted_text import TextMap, TextSide
from viz.saving.still_image import still_image

CODE = "x = 1\ny = x\n\nz = x + x"
TOKENS = Tokens(("x", "=", "1", "y", "=", "x", "z", "=", "x", "+", "x"), (False,) * 11, (False,) * 11)
PLACED = place_tokens(TOKENS, CODE)
ARCS = [Arc(5, (0,), True), Arc(8, (0,), False), Arc(10, (8,), False)]


def test_tokens_stand_where_their_letters_do() -> None:
    spans = token_spans(PLACED, CODE)
    assert [CODE[slice(*span)] for span in spans] == list(TOKENS.texts)
    assert spans[8] == (17, 18)  # the third x
    assert tokens_within(spans, 17, 22) == (8, 9, 10)


def test_arcs_join_the_lines_of_their_tokens() -> None:
    weights = np.tril(np.full((11, 11), 0.1, np.float32))
    found = TextMap(weights, TOKENS, TOKENS, ("decoder", "decoder"))
    figure = program_text(TextSide("Text", PLACED, "decoder"), found, 5, ARCS, "Title", LIGHT)
    drawn, dotted = figure.data[-2:]
    assert (drawn.y[0], drawn.y[-2], drawn.y[-1]) == (0, 1, None)  # from line 0 to line 1
    assert min(one for one in drawn.x if one is not None) > figure.layout.xaxis.range[0]
    assert max(one for one in drawn.x if one is not None) <= -1  # left of the letters
    ends = [one for one in dotted.y if one is not None]
    assert (round(ends[0]), round(max(ends))) == (0, 3)
    assert dotted.line.dash == "dot"
    assert still_image(figure, LIGHT.page, "svg").startswith(b"<?xml")


def test_the_page_gets_the_same_arcs() -> None:
    made = json.loads(gutter_arcs(ARCS, PLACED))
    assert made["lines"] == 4
    assert [arc[:2] for arc in made["arcs"]] == [[[5, 0], True], [[8, 0], False], [[10, 8], False]]
    assert made["arcs"][0][2].startswith("M1 0.50C")
    assert made["arcs"][0][2].endswith("1 1.50")  # from the middle of line 0 to that of line 1


def test_bars_show_the_head_the_best_and_the_offset() -> None:
    hits = np.array([[1, 6], [3, 0]])
    found = {
        "name": Followed(hits, 8, -2, 4, hits > 5),
        "bracket": Followed(np.array([[2, 0], [0, 0]]), 2, -1, 2, np.zeros((2, 2), bool)),
    }
    figure = relation_bars(found, {"name": "Names", "bracket": "Brackets"}, (1, 0), LIGHT)
    assert [list(np.asarray(bar.x)) for bar in figure.data] == [[3 / 8, 0], [6 / 8, 1], [4 / 8, 1]]
    assert list(figure.data[1].text) == ["6 of 8", "2 of 2"]
    assert list(figure.layout.yaxis.ticktext) == ["Names", "Brackets"]
    assert list(figure.layout.yaxis.tickvals) == [0, 1]
