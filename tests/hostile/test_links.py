"""Hostile links: every parameter that a page reads holds what no widget writes, and the page is there all the same."""

from __future__ import annotations

import itertools
import re

import pytest

from tests.viz.frame.test_links import opened

PARAMETERS = (
    *("b_model", "beams", "chat", "depth", "device", "direct_word", "divisor", "edits", "head", "hide", "kind"),
    *("language", "layer", "max_new_tokens", "method", "more", "other", "pair", "pe_base", "pe_key", "picture"),
    *("projector", "revision", "row_cross", "row_encoder", "source", "step", "target", "temperature", "top_p", "words"),
)
VALUES = (
    "<script>alert(1)</script>[x](javascript:1)`$\\",
    "9" * 5000,
    "nan",
    "-1",
    "inf",
    "1e309",
    "\u202e\0😀" * 50,
    "%s{0.__class__}{}",
    "../../etc/passwd",
    "",
)
PAGES = ("heads", "whole", "output", "compare", "masks", "positions", "inside", "layers", "changes")


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_there_whatever_its_link_holds(page: str) -> None:
    values = itertools.islice(itertools.cycle(VALUES), PAGES.index(page), None)  # others on each page
    app = opened({"text": "I see a tree."} | dict(zip(PARAMETERS, values, strict=False)), page)
    assert not app.exception
    assert not app.error
    assert app.title
    assert app.get("plotly_chart")
    said = " ".join(one.value for one in (*app.warning, *app.info))
    assert said  # what could not be followed
    assert not re.search(r"(?<!\\)<script|(?<!\\)\]\(javascript|Error\b|Traceback", said)
