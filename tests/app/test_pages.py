"""Every page through Streamlit's `AppTest`: it opens for any input, model and mode, and leaves nothing behind."""

from __future__ import annotations

import gc
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from streamlit.testing.v1 import AppTest

from model.catalog.entries import CATALOG, Entry
from model.trace.trace import Trace
from tests.app.driving import APP, PAGES, badge, choose, go_to, texts, titles
from tests.model.huggingface.test_families import OUTSIDE, TEXT, build
from viz.frame import server_state
from viz.frame.bars import first_visit, sentence_bar
from viz.language.messages import say


def test_a_first_visit_leaves_nothing_behind(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    usual, seen, draw = sys.getswitchinterval(), [], sentence_bar.draw
    monkeypatch.setattr(first_visit, "_finished", threading.Event())
    monkeypatch.setattr(sentence_bar, "draw", lambda: (seen.append(sys.getswitchinterval()), draw())[1])
    app.run()
    assert not app.exception
    assert seen[0] != usual  # during the import of the app's libraries
    assert sys.getswitchinterval() == usual
    assert first_visit._finished.is_set()
    assert "expected" not in {chart.proto.id.rpartition("-")[2] for chart in app.get("plotly_chart")}


def test_a_run_does_not_end_with_the_garbage_collection_of_keras(
    shared: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    cleared: list[object] = []
    backend = SimpleNamespace(clear_session=lambda: cleared.append("all objects of all libraries"))
    monkeypatch.setitem(sys.modules, "keras", SimpleNamespace(backend=backend))
    assert not shared.run().exception
    assert not cleared


@pytest.mark.parametrize("page", [page for page in PAGES if page != "text"])
def test_page_opens_with_title_and_pictures(shared: AppTest, page: str) -> None:
    app = go_to(shared, page)
    assert not app.exception
    assert app.title[0].value == say(f"{page}.title")
    assert app.title[0].proto.help == say(f"{page}.intro")
    pictures = app.get("plotly_chart")
    assert len(titles(app)) == len(pictures) > 0
    assert all(titles(app))  # a saved figure has its title, also where the page needs none


def test_reading_draws_its_words_itself(app: AppTest) -> None:
    app = go_to(choose(go_to(app, "heads"), "kind", "cross"), "text")
    assert not app.exception
    assert app.title[0].value == say("text.title")
    assert app.title[0].proto.help == say("text.intro")
    assert not app.get("plotly_chart")
    assert sum(one.proto.body.count('class="read-text"') for one in app.get("html")) == 2  # of one picture
    assert len(titles(app)) == 1
    assert all(titles(app))


@pytest.mark.parametrize("page", PAGES)
def test_a_run_that_is_not_kept_leaves_the_memory(app: AppTest, page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_state.result_cache(), "budget", 0)
    go_to(app, page)
    for count in ("One", "Two", "Three", "Four"):
        app.text_area(key="text").set_value(f"{count} red cars stopped.").run()
        assert not app.exception
    gc.collect()
    alive = {one.text for one in gc.get_objects() if isinstance(one, Trace) and "red cars stopped" in one.text}
    # Streamlit never drops the callbacks of removed widgets: a trace that one refers to is never freed.
    assert len(alive) <= 2


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "   \n ",
        "word " * 2000,
        "日本語 العربية",
        "😀 👩‍👩‍👧",
        "a\x00b\x1b[31mred",
        "<script>alert(1)</script> **md** :red[x] $y$",
    ],
)
def test_bad_input_gets_a_sentence_and_stays(app: AppTest, typed: str) -> None:
    app.text_area(key="text").set_value(typed)
    for page in (*PAGES, "lab"):
        go_to(app, page)
        assert not app.exception, page
        assert app.text_area(key="text").value == typed, page
        if page == "lab":  # it measures sentences of its own
            continue
        warned = [w.value for w in app.warning]
        if not typed.strip():
            assert warned == [say("errors.text_empty")], page
        elif len(typed) > 5000:
            assert warned == [say("errors.text_too_long", tokens=2000, allowed=511)], page
        else:
            assert not warned, page
            assert titles(app), page
            assert app.get("plotly_chart") or page == "text", page


@pytest.mark.parametrize("typed", ["<pad>", "</s>", "-> http://x.y {} %{x}"])
def test_marks_of_the_model_can_be_typed(app: AppTest, typed: str) -> None:
    app.text_area(key="text").set_value(typed)
    for kind in ("decoder", "cross"):
        choose(go_to(app, "heads"), "kind", kind)
        for page in PAGES:
            go_to(app, page)
            assert not app.exception, page


# A family of models, and its kind.
KINDS = {"bert": "encoder", "gpt2": "decoder", "mistral": "decoder", "t5": "encoder-decoder"}
KINDS |= {"bart": "encoder-decoder", "xlnet": "decoder", "bloom": "decoder"}


@pytest.mark.parametrize("family", KINDS)
def test_every_page_opens_for_every_kind_of_model(
    family: str, tmp_path: Path, app: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(family, tmp_path)
    entry = Entry(family, KINDS[family], 0, "", "", ("encoder", 0, 0), folder=tmp_path)
    monkeypatch.setitem(CATALOG, "made", entry)
    app.run()
    app.text_area(key="text").set_value(TEXT)
    app.selectbox(key="model").set_value("made").run()
    for page in (*PAGES, "lab"):
        go_to(app, page)
        assert not app.exception, page
        assert not app.error, page
        assert not app.warning, page
        if page == "lab":
            continue
        assert ("Repeated" if family in OUTSIDE else "Proved") in badge(app), page
        if family in OUTSIDE and page in ("heads", "inside"):
            assert "family" in "\n".join([texts(app), *(info.value for info in app.info)])


@pytest.fixture(scope="module")
def projected() -> AppTest:
    app = AppTest.from_file(str(APP), default_timeout=120)
    app.query_params["projector"] = "1"
    return app


@pytest.mark.parametrize("page", [*PAGES, "lab"])
def test_every_page_opens_in_projector_mode(projected: AppTest, page: str) -> None:
    assert not go_to(projected, page).exception
