"""Lab: sentences are measured in the background, each head has its interval, a sentence opens in Heads."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from streamlit.testing.v1 import AppTest

from model.lab.finding_table import all_findings
from model.settings import settings
from model.turns import GivenUp
from tests.app.driving import APP, choose, forget_results, go_to, shown_head, texts
from viz.frame import server_state
from viz.frame.shown_run import lab_runs as runs
from viz.language.messages import set_language
from viz.sections.lab import findings, sentences

TYPED = "The red car stopped.\nI saw the cat.\n\nWe ate the old bread."


def ended(app: AppTest, key: str = "lab_heads") -> AppTest:
    """The page once its run is done."""
    end = time.monotonic() + 120
    while key not in app.session_state["drawn"] and time.monotonic() < end:
        time.sleep(0.2)
        app.run()
    assert key in app.session_state["drawn"], texts(app)
    return app


def press(app: AppTest, key: str) -> AppTest:
    return next(one for one in app.button if one.key == key).click().run()


def typed(app: AppTest, text: str) -> AppTest:
    choose(app, "lab_source", sentences.TYPED)
    return app.text_area(key="lab_text").set_value(text).run()


@pytest.fixture(scope="module")
def lab() -> AppTest:
    """The page with three typed sentences, measured."""
    forget_results()
    app = go_to(AppTest.from_file(str(APP), default_timeout=120), "lab")
    assert not app.get("plotly_chart")
    return ended(press(typed(app, TYPED), "lab_go"))


def test_typed_sentences_are_measured_line_by_line(lab: AppTest) -> None:
    assert set(lab.session_state["drawn"]) == {"lab_heads", "lab_points", "lab_ranked"}
    assert "between" in texts(lab)
    assert "over 3 sentences" in texts(lab)
    assert "Uniform attention" in texts(lab)
    assert lab.query_params["lab_shown"] == "1"
    assert lab.query_params["lab_text"] == TYPED
    assert lab.title[0].value == "Lab"


def test_another_measure_and_head_need_no_run(lab: AppTest) -> None:
    choose(lab, "lab_measure", "entropy")
    assert "entropy" in lab.query_params["lab_measure"]
    assert "Uniform attention" not in texts(lab)
    choose(lab, "layer", 2)
    choose(lab, "head", 3)
    assert "Layer 2, head 3" in texts(lab)
    choose(lab, "kind", "cross")
    assert "lab_heads" in lab.session_state["drawn"]
    choose(lab, "kind", "encoder")


def test_a_link_shows_the_same(lab: AppTest) -> None:
    other = AppTest.from_file(str(APP), default_timeout=120)
    for name, value in {"lab_source": "typed", "lab_text": TYPED, "lab_shown": "1", "lab_measure": "next"}.items():
        other.query_params[name] = value
    ended(go_to(other, "lab"))
    assert other.session_state["lab_measure"] == "next"
    assert not other.warning


def test_a_sentence_opens_in_heads(lab: AppTest) -> None:
    choose(lab, "kind", "encoder")
    label = next(one.label for one in lab.button if one.key == "lab_highest")
    press(lab, "lab_highest")  # the test in Chromium sees the page change
    assert shown_head(go_to(lab, "heads")) == (2, 3)
    assert lab.session_state["text"].rstrip(".") in label
    assert lab.session_state["kind"] == "encoder"
    go_to(lab, "lab")


def test_a_run_stops_and_does_not_begin_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*_: object, progress: object, **__: object) -> None:
        while True:
            time.sleep(0.05)
            progress(1, 4)  # type: ignore[operator]

    monkeypatch.setattr("viz.sections.lab.runs.measure", slow)
    app = typed(go_to(AppTest.from_file(str(APP), default_timeout=60), "lab"), "One more sentence.\nAnd another one.")
    press(app, "lab_go")
    assert [one.label for one in app.button if one.key == "lab_stop"] == ["Stop"]
    press(app, "lab_stop")
    assert [one.label for one in app.button if one.key == "lab_go"] == ["Measure 2 sentences"]
    assert "lab_shown" not in app.query_params


def test_what_cannot_be_measured_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    app = typed(go_to(AppTest.from_file(str(APP), default_timeout=60), "lab"), "")
    assert "There are no sentences yet" in app.info[0].value
    typed(app, "a" * 3000 + "\nHere we go.")
    assert "1 lines have more than 2000 letters" in app.warning[0].value
    monkeypatch.setattr(sentences, "MOST", 2)
    typed(app, "One.\nTwo.\nThree.")
    assert "Of 3 sentences the first 2 are measured" in app.warning[0].value
    monkeypatch.setattr(settings, "_current", replace(settings.current(), uploads=False))
    app.run()
    assert any("cannot be uploaded" in one.value or "uploads" in one.value.lower() for one in app.caption)


def test_findings_say_what_holds(lab: AppTest) -> None:
    press(lab, "lab_check")
    end = time.monotonic() + 200
    while not lab.table and time.monotonic() < end:
        time.sleep(0.5)
        lab.run()
    table = lab.table[0].value
    assert list(table.columns) == ["Here", "Finding", "Published"]
    assert len(table) == 11
    assert any("holds" in one and "%" in one for one in table["Here"])
    neighbour = next(one for one in table["Published"] if "144 heads" in one)
    assert "over 50% in 4" in neighbour
    assert "Clark et al" in neighbour


def test_what_was_published_is_said_in_each_language() -> None:
    spec = next(one for one in all_findings() if one.id == "previous")
    shown = {}
    for language in ("en", "de", "fr", "es"):
        set_language(language)
        shown[language] = findings._published(spec)
    set_language("en")
    assert "4 von BERTs 144 Köpfen" in shown["de"]
    assert len(set(shown.values())) == 4
    assert all("50%" in one and "Clark et al" in one for one in shown.values())


def test_runs_wait_for_each_other_and_end_when_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = runs.LabRuns()
    release: list[bool] = []

    def first(show: runs.Show) -> str:
        while not release:
            show(0.5)
            time.sleep(0.01)
        return "made"

    queue.begin("first", first, len)
    queue.begin("second", lambda show: "second", len)
    running, waiting = queue.find("first"), queue.find("second")
    assert running is not None
    assert waiting is not None
    assert queue.before(waiting) == 1
    queue.begin("first", lambda show: "again", len)  # under way: nothing new begins
    release.append(True)
    assert running.done.result(20) == "made"
    assert waiting.done.result(20) == "second"
    assert server_state.result_cache().find("first") == "made"
    monkeypatch.setattr(runs, "FORGOTTEN", -1.0)
    release.clear()
    queue.begin("third", first, len)
    with pytest.raises(GivenUp):
        queue._runs["third"].done.result(20)
