"""Every page through Streamlit's `AppTest`: widgets, inputs, edits, comparisons, errors."""

from __future__ import annotations

import gc
import json
import struct
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from model.attention import formula
from model.catalog.entries import CATALOG, Entry
from model.trace.edits import Edits
from model.trace.trace import Trace
from model.translator import transformer
from model.translator.translator import Translator
from tests.model.huggingface.test_families import OUTSIDE, TEXT, build
from viz.frame import first_visit, results, server_state, sidebar
from viz.widgets.edit_panel import EDIT_TYPES
from viz.language.messages import say
from viz.sections import compare_sides

APP = Path(__file__).parents[2] / "app.py"
PAGES = ("heads", "inside", "compare", "masks", "positions", "layers", "output", "changes", "code")


@pytest.fixture
def app() -> AppTest:
    st.cache_resource.clear()
    return AppTest.from_file(str(APP), default_timeout=120).run()


def go_to(app: AppTest, page: str) -> AppTest:
    return app.switch_page(f"viz/pages/{page}.py").run()


def heat(app: AppTest, number: int = 0) -> dict[str, object]:
    """The heat map of this number on the page, from 0, as a Plotly trace."""
    figures = [json.loads(chart.proto.spec) for chart in app.get("plotly_chart")]
    maps = [part for figure in figures for part in figure["data"] if part["type"] == "heatmap"]
    return maps[number]


def texts(app: AppTest) -> str:
    """All Markdown on the page."""
    return "\n".join(m.value for m in app.markdown)


def test_a_first_visit_leaves_nothing_behind(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    usual, seen, draw = sys.getswitchinterval(), [], sidebar.draw
    monkeypatch.setattr(first_visit, "_finished", threading.Event())
    monkeypatch.setattr(sidebar, "draw", lambda: (seen.append(sys.getswitchinterval()), draw())[1])
    app.run()
    assert not app.exception
    assert seen[0] != usual  # during the import of the app's libraries
    assert sys.getswitchinterval() == usual
    assert first_visit._finished.is_set()
    assert "expected" not in {chart.proto.id.rpartition("-")[2] for chart in app.get("plotly_chart")}


@pytest.mark.parametrize("page", PAGES)
def test_page_opens_with_title_and_pictures(app: AppTest, page: str) -> None:
    go_to(app, page)
    assert not app.exception
    assert app.title[0].value == say(f"{page}.title")
    assert len(app.get("plotly_chart")) >= 3
    for chart in app.get("plotly_chart"):
        layout = json.loads(chart.proto.spec)["layout"]
        assert layout["title"]["text"]


@pytest.mark.parametrize("page", PAGES)
def test_a_run_that_is_not_kept_leaves_the_memory(app: AppTest, page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_state.result_cache(), "budget", 0)
    go_to(app, page)
    for count in ("One", "Two", "Three", "Four", "Five"):
        app.text_area(key="text").set_value(f"{count} red cars stopped.").run()
        assert not app.exception
    gc.collect()
    alive = {one.text for one in gc.get_objects() if isinstance(one, Trace) and "red cars stopped" in one.text}
    # Streamlit never drops the callbacks of removed widgets: a trace that one refers to is never freed.
    assert len(alive) <= 2


def test_another_sentence_changes_map_and_translation(app: AppTest) -> None:
    before, map_before = texts(app), heat(app)["z"]
    app.text_area(key="text").set_value("She is my sister.").run()
    assert not app.exception
    assert heat(app)["z"] != map_before
    assert "She is my sister" in texts(app)
    assert texts(app) != before


def test_changing_head_layer_or_page_runs_no_model(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    passes = []
    original = Translator.trace_batch

    def counted(self: Translator, *args: object) -> object:
        passes.append(args)
        return original(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Translator, "trace_batch", counted)
    app.text_area(key="text").set_value("We are happy today.").run()
    assert len(passes) == 1
    first = heat(app)["z"]
    app.button_group(key="head").set_value(1).run()
    app.button_group(key="layer").set_value(0).run()
    assert heat(app)["z"] != first
    app.button_group(key="kind").set_value("encoder").run()
    go_to(app, "inside")
    go_to(app, "layers")
    assert not app.exception
    assert len(passes) == 1


def test_head_follows_from_page_to_page(app: AppTest) -> None:
    app.button_group(key="kind").set_value("encoder").run()
    app.button_group(key="head").set_value(6).run()
    go_to(app, "inside")
    assert app.button_group(key="kind").value == "encoder"
    assert app.button_group(key="head").value == 6


def test_the_browser_gets_the_heads_of_what_is_drawn(app: AppTest) -> None:
    """Also where merging words changes the number of keys but not of queries."""
    app.text_area(key="text").set_value("The dog sees the dog.").run()
    columns: list[int] = []
    for merged in (False, True):
        app.toggle(key="words").set_value(merged).run()
        sent = next(one.proto.bytes for one in app.get("bidi_component") if one.proto.id.endswith("-flip"))
        header = json.loads(sent[4 : 4 + struct.unpack_from("<I", sent)[0]])
        drawn: dict[str, str] = heat(app)["z"]  # type: ignore[assignment]
        assert f"{header['rows']}, {header['columns']}" == drawn["shape"]
        columns.append(header["columns"])
    assert columns[0] > columns[1]


def test_merged_words_have_a_map_of_their_own(app: AppTest) -> None:
    app.text_area(key="text").set_value("He was unbelievably tired.").run()
    before = heat(app)["z"]
    app.toggle(key="words").set_value(True).run()
    assert not app.exception
    assert heat(app)["z"] != before


def test_forced_translation(app: AppTest) -> None:
    app.button_group(key="whose").set_value("forced").run()
    assert [w.value for w in app.warning] == [say("errors.target_empty")]
    app.text_input(key="target").set_value("L'auto rouge a freiné.").run()
    assert not app.warning
    assert "L\\'auto rouge a freiné" in texts(app)


def test_every_example_can_be_chosen(app: AppTest) -> None:
    for number in range(len(app.selectbox(key="example").options)):
        app.selectbox(key="example").set_value(number).run()
        assert not app.exception
        assert not app.warning
        assert any(c.value for c in app.sidebar.caption)


@pytest.mark.parametrize("page", PAGES)
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
def test_bad_input_gets_a_sentence_and_stays(app: AppTest, page: str, typed: str) -> None:
    app.text_area(key="text").set_value(typed)
    go_to(app, page)
    assert not app.exception
    assert app.text_area(key="text").value == typed
    warned = [w.value for w in app.warning]
    if page == "positions":  # does not depend on the text
        assert not warned
    elif not typed.strip():
        assert warned == [say("errors.text_empty")]
    elif len(typed) > 5000:
        assert warned == [say("errors.text_too_long", tokens=2000, allowed=511)]
    else:
        assert not warned
        assert app.get("plotly_chart")


def test_blank_second_sentence_on_the_masks_page(app: AppTest) -> None:
    go_to(app, "masks")
    app.text_input(key="other").set_value(" ").run()
    assert not app.exception
    assert [w.value for w in app.warning] == [say("errors.other_empty")]


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("typed", ["<pad>", "</s>", "-> http://x.y {} %{x}"])
def test_marks_of_the_model_can_be_typed(app: AppTest, page: str, typed: str) -> None:
    app.text_area(key="text").set_value(typed)
    for kind in ("decoder", "cross"):
        app.button_group(key="kind").set_value(kind)
        go_to(app, page)
        assert not app.exception
        go_to(app, "heads")


@pytest.mark.parametrize("family", ["bert", "gpt2", "mistral", "t5", "bart", "xlnet", "bloom"])
def test_every_page_opens_for_every_kind_of_model(
    family: str, tmp_path: Path, app: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(family, tmp_path)
    entry = Entry(family, "", 0, "", "", ("encoder", 0, 0), folder=tmp_path)
    monkeypatch.setitem(CATALOG, "made", entry)
    app.run()
    app.text_area(key="text").set_value(TEXT)
    app.selectbox(key="model").set_value("made").run()
    for page in PAGES:
        go_to(app, page)
        assert not app.exception, page
        assert not app.error, page
        assert not app.warning, page
        if page == "heads":
            assert "Checked" in badge(app)
        if family in OUTSIDE and page in ("heads", "inside"):
            assert any("family" in info.value for info in app.info)


def badge(app: AppTest) -> str:
    """Label of the page's verification badge."""
    labels = [block.proto.popover.label for block in app.get("popover")]
    return next(label for label in labels if label.startswith((":green[", ":red[")))


@pytest.mark.parametrize("page", ["heads", "compare", "output", "changes"])
def test_the_lines_under_the_badge_repeat_the_check(app: AppTest, page: str) -> None:
    app.text_input(key="edits").set_value("temperature:cross=2")
    go_to(app, page)
    for key in ("heads", "compare_b", "output", "changes"):
        app.session_state[f"badge_{key}"] = True
    app.run()
    lines = next(block.value for block in app.code if "verify" in block.value)
    namespace: dict[str, object] = {}
    exec(lines, namespace)  # generated by the app
    trace = namespace["trace"]
    assert isinstance(trace, Trace)
    assert trace.verify().ok
    assert trace.edits == Edits(temperature={"cross": 2.0})


def test_the_badge_turns_red_when_the_model_is_broken(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ":green[" in badge(app)
    right = formula.attention
    # Attention without the division by √d_k: plausible maps, but wrong.
    monkeypatch.setattr(transformer, "attention", lambda *args, **kwargs: right(*args, **kwargs, scale=1.0))
    app.text_area(key="text").set_value("This run is broken.").run()
    assert ":red[" in badge(app)
    assert not app.exception


def test_sliders_to_their_ends(app: AppTest) -> None:
    go_to(app, "positions")
    for key, value in (("pe_d", 4), ("pe_length", 8), ("pe_length", 256), ("pe_d", 512)):
        app.slider(key=key).set_value(value).run()
        assert not app.exception
    app.slider(key="pe_start").set_value(254).run()
    assert not app.exception


def changed(app: AppTest) -> list[str]:
    """The edits that the page lists above its results."""
    return [m.value for m in app.markdown if m.value.startswith("- ")]


def test_a_change_is_made_listed_kept_in_the_link_and_undone(app: AppTest) -> None:
    before = heat(app)["z"]
    app.session_state["changing"] = True
    app.run().selectbox(key="change_what").set_value("uniform").run()
    app.button(key="change_apply").click().run()
    assert app.text_input(key="edits").value == "uniform:cross.0.3"
    assert changed(app) == ["- Cross: head 3 in layer 0 looks at everything alike."]
    assert heat(app)["z"] != before
    assert ":green[" in badge(app)
    go_to(app, "compare")
    assert changed(app)
    app.button(key="undo_all").click().run()
    assert not changed(app)
    go_to(app, "heads")
    assert heat(app)["z"] == before


@pytest.mark.parametrize("name", list(EDIT_TYPES))
def test_every_sort_of_change_can_be_made(app: AppTest, name: str) -> None:
    app.session_state["changing"] = True
    app.run().selectbox(key="change_what").set_value(name).run()
    app.button(key="change_apply").click().run()
    assert not app.exception
    assert not app.warning
    assert len(changed(app)) == (2 if name == "all_but" else 1)
    app.button(key="undo_panel_0").click().run()
    assert len(changed(app)) == (1 if name == "all_but" else 0)


def test_a_link_with_changes_that_cannot_be_read_or_made_says_so(app: AppTest) -> None:
    app.text_input(key="edits").set_value("nonsense").run()
    assert "cannot be read" in app.warning[0].value
    app.text_input(key="edits").set_value("heads:cross.9.9=0;heads:cross.0.1=0").run()
    assert "1 of the changes" in app.warning[0].value
    assert len(changed(app)) == 1
    app.text_input(key="edits").set_value("blocked:decoder.0.0").run()
    assert app.warning[0].value == say("errors.row_blind", token=0, attention="Decoder attention", layer=0)
    app.button(key="undo_all_panel").click().run()  # the undo button is drawn even though the page ended early
    assert not app.warning


def test_what_changes_shows_both_outputs_and_the_heads_that_matter(app: AppTest) -> None:
    app.text_input(key="edits").set_value("heads:cross.*.*=0")
    go_to(app, "changes")
    assert not app.exception
    shown = [m.value for m in app.markdown if m.value.startswith("**")]
    assert "**La voiture rouge s\\'est arrêtée\\.**" in shown
    assert len(app.get("plotly_chart")) >= 6


def test_a_minimal_pair_is_compared(app: AppTest) -> None:
    go_to(app, "compare")
    app.button_group(key="compare").set_value("pair").run()
    next(b for b in app.button if b.label == say("compare.take_pair")).click().run()
    assert not app.exception
    assert app.text_area(key="text").value.endswith("tired.")
    assert app.text_input(key="b_text").value.endswith("wide.")
    a, b, difference = (heat(app, number) for number in range(3))
    labels = json.loads(app.get("plotly_chart")[0].proto.spec)["layout"]["xaxis2"]["ticktext"]
    assert "tired (A)" in labels
    assert any(label.endswith("(B)") for label in labels)
    assert a["z"] != b["z"]
    assert difference["zmin"] == -difference["zmax"]


def test_a_run_before_and_after_a_change_and_with_itself(app: AppTest) -> None:
    go_to(app, "compare")
    app.button_group(key="compare").set_value("edit").run()
    assert say("compare.equal") in texts(app)
    app.text_input(key="edits").set_value("uniform:cross.0.3").run()
    assert say("compare.equal") not in texts(app)
    app.text_input(key="b_changes").set_value("uniform:cross.0.3").run()
    assert say("compare.equal") in texts(app)
    app.text_input(key="b_changes").set_value("nonsense").run()
    assert "cannot be read" in app.warning[0].value


@pytest.mark.parametrize("scale", ["log", "uniform", "norm"])
def test_scales_and_sinks(app: AppTest, scale: str) -> None:
    go_to(app, "compare")
    before = heat(app)["z"]
    app.button_group(key="scale").set_value(scale).run()
    assert heat(app)["z"] != before
    app.toggle(key="sink").set_value(True).run()
    assert not app.exception
    assert any("of the attention went to special tokens" in c.value for c in app.caption)


@pytest.mark.parametrize("factor", ["0.0", "0.5"])
def test_what_a_scaled_head_adds_is_scaled(app: AppTest, factor: str) -> None:
    go_to(app, "compare")
    app.button_group(key="compare").set_value("edit").run()
    app.button_group(key="scale").set_value("norm").run()
    app.text_input(key="edits").set_value(f"heads:cross.0.3={factor}").run()
    assert not app.exception
    assert say("compare.no_norms") not in [one.value for one in app.info]
    a, b = (app.session_state["drawn"][key].figure.data[0].z for key in ("map_a", "map_b"))
    np.testing.assert_allclose(a, float(factor) * b, rtol=1e-3, atol=1e-5)


def test_where_lengths_cannot_be_had_the_rest_of_the_page_stays(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare_sides.Side, "value_norms", lambda side, weights: None)
    go_to(app, "compare")
    before = len(app.get("plotly_chart"))
    app.button_group(key="scale").set_value("norm").run()
    assert say("compare.no_norms") in [one.value for one in app.info]
    assert len(app.get("plotly_chart")) == before - 3


@pytest.mark.parametrize("page", PAGES)
def test_every_page_says_what_is_changed_and_what_was_not_understood(app: AppTest, page: str) -> None:
    app.text_area(key="text").set_value("I like 日本.").run()
    app.text_input(key="edits").set_value("blocked:cross.0.3;blocked:cross.0.99").run()
    go_to(app, page)
    assert not app.exception
    if page != "positions":  # does not depend on the text
        assert any("日本" in one.value for one in app.info)
    if page not in ("positions", "changes", "code"):  # which show edits in other ways
        assert changed(app) == [
            "- Cross: token 0 may not look at token 3.",
            f"- Cross: token 0 may not look at token 99. {say('change.beyond')}",
        ]


def test_an_odd_number_of_dimensions_in_a_link_is_made_even() -> None:
    app = AppTest.from_file(str(APP), default_timeout=120)
    app.query_params["pe_d"] = "5"
    go_to(app.run(), "positions")
    assert not app.exception


def test_what_was_cancelled_is_not_begun_again(app: AppTest) -> None:
    go_to(app, "changes")
    assert not [button for button in app.button if button.key == "effects"]
    (key,) = results._effects_cache()
    results._effects_cache().clear()
    app.session_state["effects_ended"] = key  # as Cancel leaves it
    app.run()
    assert not results._effects_cache()
    ask = next(button for button in app.button if button.key == "effects")
    ask.click().run()
    assert key in results._effects_cache()
    assert not app.exception


@pytest.mark.parametrize("page", PAGES)
def test_every_page_opens_in_projector_mode(page: str) -> None:
    app = AppTest.from_file(str(APP), default_timeout=120)
    app.query_params["projector"] = "1"
    go_to(app.run(), page)
    assert not app.exception


@pytest.mark.parametrize("method", ["greedy", "sample", "beam", "forced"])
def test_output_step_by_step(app: AppTest, method: str) -> None:
    go_to(app, "output")
    app.button_group(key="method").set_value(method).run()
    if method == "forced":
        assert app.info
        app.text_input(key="forced_output").set_value("Le chat est rouge.").run()
    app.slider(key="step").set_value(3).run()
    app.button_group(key="rows_by").set_value("predicted").run()
    assert not app.exception
    assert not app.warning
    assert len(app.get("plotly_chart")) == (7 if method == "beam" else 6)


def test_a_hidden_word_is_guessed(tmp_path: Path, app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    build("bert", tmp_path)
    monkeypatch.setitem(CATALOG, "made", Entry("made", "", 0, "", "", ("encoder", 0, 0), folder=tmp_path))
    app.run()
    app.text_area(key="text").set_value(TEXT)
    app.selectbox(key="model").set_value("made")
    go_to(app, "output")
    assert not app.exception
    assert "What really stands there" in texts(app)
