"""A wait for a turn is told, can be cancelled, and gives its turn up; what was typed stays."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from streamlit import delta_generator
from streamlit.delta_generator import DeltaGenerator
from streamlit.testing.v1 import AppTest

from tests.app.driving import go_to
from viz.frame import checks, server_state
from viz.frame.waits import turn_wait
from viz.language.messages import say

LONG = "the red car stopped near the old house and " * 12


@pytest.fixture(autouse=True)
def empty(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(turn_wait, "SILENT", 0.0)
    monkeypatch.setattr(turn_wait, "PACE", 0.0)
    monkeypatch.setattr(turn_wait, "ASKED", 0.0)
    server_state.drop_all()
    yield
    while checks._queue._works:  # of the long texts
        time.sleep(0.01)
    server_state.drop_all()


def test_what_was_cancelled_stays_cancelled_until_it_is_wanted_again(
    app: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turn_wait, "_shown", lambda: (app.session_state["text"],))
    app.session_state[turn_wait.STOPPED] = (LONG,)
    go_to(app, "heads")
    app.text_area(key="text").set_value(LONG).run()
    assert [one.value for one in app.info] == [say("wait.cancelled")]
    assert app.text_area(key="text").value == LONG
    assert not app.get("plotly_chart")
    assert not server_state._long_turns._taken
    assert not server_state._model_turns._taken
    app.button(key="wait_go_on").click().run()
    assert not app.info
    assert app.get("plotly_chart")
    app.session_state[turn_wait.STOPPED] = (LONG,)
    app.text_area(key="text").set_value("Another one.").run()  # another text is another wish
    assert not app.info
    assert app.get("plotly_chart")


def test_a_page_says_that_it_waits_and_no_more_once_it_has_its_turn(
    app: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    kept = turn_wait.say
    monkeypatch.setattr(turn_wait, "say", lambda key, **values: said.append(key) or kept(key, **values))
    go_to(app, "heads")
    with ThreadPoolExecutor(1) as pool:
        with server_state._long_turns.held():
            running = pool.submit(app.text_area(key="text").set_value(LONG).run)
            while "wait.turn" not in said and not running.done():
                time.sleep(0.01)
        running.result(120)
    assert {"wait.turn", "wait.cancel"} <= {*said}
    assert app.get("plotly_chart")
    assert not [one for one in app.button if one.key == "wait_cancel"]


def test_what_a_page_says_of_its_wait_belongs_to_no_fragment(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fragment's own room in a place that is emptied ends Streamlit's front end when the fragment runs again."""
    rooms: list[DeltaGenerator] = []
    kept, make, said = turn_wait.say, delta_generator._get_or_create_outside_wrapper, []
    monkeypatch.setattr(turn_wait, "say", lambda key, **values: said.append(key) or kept(key, **values))

    def spied(place: DeltaGenerator, *rest: Any) -> DeltaGenerator:
        rooms.append(place)
        return make(place, *rest)

    monkeypatch.setattr(delta_generator, "_get_or_create_outside_wrapper", spied)
    app.session_state["text"] = LONG
    go_to(app, "whole")
    assert "wait.work" in said
    locked = [place._cursor.delta_path for place in rooms if place._cursor and place._cursor.is_locked]
    assert not locked
