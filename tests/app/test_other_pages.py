"""Masks, Positions and Output through Streamlit's `AppTest`: their own boxes and sliders."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from model.catalog.entries import CATALOG, Entry
from tests.app.driving import APP, choose, go_to, output_line, texts
from tests.model.huggingface.test_families import TEXT, build
from viz.language.messages import say


def test_blank_second_sentence_on_the_masks_page(app: AppTest) -> None:
    go_to(app, "masks")
    app.text_input(key="other").set_value(" ").run()
    assert not app.exception
    assert [w.value for w in app.warning] == [say("errors.other_empty")]


def test_sliders_to_their_ends(app: AppTest) -> None:
    go_to(app, "positions")
    for key, value in (("pe_d", 4), ("pe_length", 8), ("pe_length", 256), ("pe_d", 512)):
        app.slider(key=key).set_value(value).run()
        assert not app.exception
    app.slider(key="pe_start").set_value(254).run()
    assert not app.exception


def test_an_odd_number_of_dimensions_in_a_link_is_made_even() -> None:
    app = AppTest.from_file(str(APP), default_timeout=120)
    app.query_params["pe_d"] = "5"
    go_to(app.run(), "positions")
    assert not app.exception


@pytest.mark.parametrize("method", ["greedy", "sample", "beam", "forced"])
def test_output_step_by_step(app: AppTest, method: str) -> None:
    go_to(app, "output")
    choose(app, "method", method)
    if method == "forced":
        assert app.info
        app.text_input(key="forced_output").set_value("Le chat est rouge.").run()
    app.slider(key="step").set_value(3).run()
    choose(app, "rows_by", "predicted")
    assert not app.exception
    assert not app.warning
    assert len(app.get("plotly_chart")) == (7 if method == "beam" else 6)


def test_a_hidden_word_is_guessed(tmp_path: Path, app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    build("bert", tmp_path)
    monkeypatch.setitem(CATALOG, "made", Entry("made", "encoder", 0, "", "", ("encoder", 0, 0), folder=tmp_path))
    app.run()
    app.text_area(key="text").set_value(TEXT)
    app.selectbox(key="model").set_value("made")
    go_to(app, "output")
    assert not app.exception
    assert "What really stands there" in texts(app)


def test_another_output_becomes_that_of_all_pages(app: AppTest) -> None:
    choose(choose(go_to(app, "output"), "method", "sample"), "seed", 5)
    assert not app.exception
    app.button(key="take_over").click().run()
    assert not app.exception
    taken = app.session_state["forced_output"]
    assert not [one for one in app.button if one.key == "take_over"]  # both are the same run
    assert taken
    shown = output_line(go_to(app, "heads")).replace("·", "").replace(" ", "")
    assert taken.replace(" ", "") in shown


def test_the_tour_begins_with_a_sentence_of_ones_own_and_leaves_the_lesson(app: AppTest) -> None:
    """What is typed is in the link, where Streamlit lets no page clear it; a lesson would cover what is pointed at."""
    app.query_params["lesson"] = "01-why-attention"
    app.run().button(key="lesson_next").click().run()
    app.button(key="lesson_leave").click().run()
    app.text_area(key="text").set_value("It rains.").run()
    for number in (1, 2):
        go_to(app, "tour")
        assert not app.error
        assert app.title[0].value == say("whole.title")
        assert app.text_area(key="text").value == "It rains."
        assert app.session_state["tour"] == number
        assert "lesson" not in app.query_params
        assert not [one for one in app.button if one.key == "lesson_leave"]
        app.query_params["lesson"] = "01-why-attention"
        app.run()
        assert app.button(key="lesson_leave")
