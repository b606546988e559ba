"""The Programs page: arcs, what heads follow, and code that cannot be read."""

from __future__ import annotations

import html as html_of
import json
import re

from streamlit.testing.v1 import AppTest

from tests.app.driving import choose, go_to, opened, read_back, texts, unsaved
from viz.language.messages import say

CODE = "def mean(values):\n    total = 0\n    for value in values:\n        total += value\n    return total"


def page_html(app: AppTest) -> str:
    return "".join(block.proto.body for block in app.get("html"))


def arcs(app: AppTest) -> list[object]:
    found = re.search(r'data-arcs="([^"]*)"', page_html(app))
    return json.loads(html_of.unescape(found[1]))["arcs"] if found else []


def shown(text: str) -> AppTest:
    return choose(choose(go_to(opened(), "program"), "kind", "encoder"), "text", text)


def test_arcs_and_both_numbers_are_shown() -> None:
    app = choose(shown(CODE), "relation", "name")
    assert not app.exception
    html = page_html(app)
    assert len(arcs(app)) == 3  # values, value, and total in the last line
    assert "read-text code" in html
    said = next(one.value for one in app.markdown if one.value.startswith("**Uses of names**"))
    assert "of 3" in said
    assert not unsaved(app)
    assert say("program.not_named") in said  # our translator knows no Python, and three arcs prove nothing
    assert {"program", "relations"} <= set(app.session_state["drawn"])
    assert "relations" in read_back(app)
    before = app.session_state["layer"], app.session_state["head"]
    app.button(key="program_go").click().run()
    assert (app.session_state["layer"], app.session_state["head"]) != before


def test_code_that_does_not_parse_gets_a_sentence_with_its_line() -> None:
    wrong = CODE + "(\n"
    app = shown(wrong)
    assert not app.exception
    under_box = app.container(key="output").warning
    assert any(one.value.startswith("Line 5 is not finished") for one in under_box)
    assert app.text_area(key="text").value.startswith(CODE + "(")
    assert arcs(app)  # what stands above is read


def test_what_cannot_be_joined_gets_a_sentence() -> None:
    app = shown("The red car stopped.")
    wrong = say("program.wrong_alone", line=1, code="`The red car stopped.`")
    assert [one.value for one in app.info] == [wrong]  # one sentence, which says what to do
    assert not app.warning
    assert len(app.container(key="output").info) == 1
    app = choose(app, "text", "x = 1\x00")
    assert [one.value for one in app.info] == [say("program.wrong_alone", line=1, code="`x = 1�`")]
    app = choose(app, "text", "car")
    assert [one.value for one in app.info] == [say("program.nothing")]
    app = choose(app, "kind", "cross")
    assert [one.value for one in app.info] == [say("program.one_text")]
    assert not app.container(key="output").info
    assert not app.container(key="controls").info  # but under them
    assert texts(app) is not None
