"""Links: they hold the view, open it elsewhere, and report what could not be opened."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from model.catalog.revisions import revision
from tests.app.driving import APP, choose, forget_results, go_to, heat, shown_head, texts, titles
from viz.frame import links
from viz.language.messages import say
from viz.saving.qr_code import qr_code


def opened(parameters: Mapping[str, str | list[str]], page: str = "heads") -> AppTest:
    """The app as a browser opens it on a link. page: its name, "" for the bare address"""
    app = AppTest.from_file(str(APP), default_timeout=120)
    if page:
        app.switch_page(f"viz/pages/{page}.py")
    for name, value in parameters.items():
        app.query_params[name] = value
    return app.run()


@pytest.fixture(autouse=True)
def fresh() -> None:
    forget_results()


def test_a_link_opens_the_same_view() -> None:
    link = {"text": "She sees the sea.", "kind": "encoder", "layer": "2", "head": "6", "row_encoder": "3"}
    app = opened(link | {"hide": "true", "revision": links.short_revision(revision("en-fr"))})
    assert not app.exception
    assert not app.warning
    assert app.text_area(key="text").value == "She sees the sea."
    assert [app.session_state[key] for key in ("kind", "layer", "head", "row_encoder")] == ["encoder", 2, 6, 3]
    assert shown_head(app) == (2, 6)
    assert "head 6, **the** looks at" in texts(app)  # the reading of row 3
    assert app.toggle(key="hide").value is True
    assert say("heads.map_title", attention="Encoder attention", layer=2, head=6) in titles(app)
    again = opened({name: app.query_params[name] for name in app.query_params})
    assert heat(again) == heat(app)


def test_what_is_opened_on_a_page_is_in_the_link() -> None:
    app = opened({"who": "true", "step": "1"}, "output")
    assert "who_bars" in app.session_state["drawn"]
    others = app.selectbox(key="who_against").options
    app.selectbox(key="who_against").select_index(1).run()
    link = {name: app.query_params[name] for name in app.query_params}
    again = opened(link, "output")
    assert not again.warning
    assert again.selectbox(key="who_against").options == others
    assert again.selectbox(key="who_against").index == 1
    assert opened({"table": "true"}).dataframe
    assert not opened({}).dataframe


@pytest.mark.parametrize(
    ("page", "link", "title"),
    [
        ("layers", {"depth": "2"}, say("layers.activations_title", depth=say("layers.after", layer=1))),
        ("positions", {"pe_pair": "3", "pe_base": "100"}, say("positions.circle_title", pair=3, sine=6, cosine=7)),
        ("compare", {"b_layer": "2", "b_head": "1"}, say("compare.side", side="B", kind="Cross", layer=2, head=1)),
        ("output", {"step": "2"}, say("output.candidates_title", step=2)),
        ("masks", {"other": "Hello."}, say("masks.batch_title", mask="Encoder mask", number=2)),
    ],
)
def test_each_page_keeps_its_own_choices_in_the_link(page: str, link: dict[str, str], title: str) -> None:
    app = opened(link, page)
    assert not app.exception
    assert not app.warning
    assert title in titles(app)
    assert {name: "".join(app.query_params[name]) for name in link} == link


def test_the_wall_of_heads_is_in_the_link() -> None:
    app = opened({"wall_cross_0_3": ["2.1", "0.0"]}, "compare")
    assert app.multiselect(key="wall_cross_0_3").value == ["2.1", "0.0"]


def test_choices_are_written_into_the_link() -> None:
    app = opened({})
    choose(app, "row_cross", 4)
    assert "".join(app.query_params["row_cross"]) == "4"
    choose(app, "row_cross", 1)  # where it starts
    assert "row_cross" not in app.query_params
    choose(app, "row_cross", 2)
    go_to(app, "layers")
    assert "row_cross" not in app.query_params  # no such choice on this page, which starts with the other stack
    go_to(app, "heads")
    assert app.session_state.row_cross == 2
    assert "".join(app.query_params["row_cross"]) == "2"


@pytest.mark.parametrize(
    ("name", "value"),
    [("layer", "99"), ("kind", "sideways"), ("row_cross", "77"), ("row_cross", "x"), ("made_up", "1"), ("head", ""),
     ("hide", "perhaps"), ("device", "abacus"), ("depth", "1")],
)  # fmt: skip
def test_a_link_says_what_it_could_not_do_and_does_the_rest(name: str, value: str) -> None:
    app = opened({"text": "I see a tree.", name: value})
    assert not app.exception
    assert app.text_area(key="text").value == "I see a tree."
    (warning,) = app.warning
    assert name.replace("_", r"\_") in warning.value
    assert "text" not in warning.value
    assert titles(app)
    app.button(key="link_understood").click().run()
    assert not app.warning
    if name in ("made_up", "depth"):
        assert name not in app.query_params


def test_edits_that_cannot_be_read_are_named_and_the_rest_is_shown() -> None:
    app = opened({"edits": "heads:cross.2.5=0.0;nonsense", "head": "1"})
    assert "nonsense" in app.warning[0].value.replace("\\", "")
    assert app.session_state.head == 1
    assert shown_head(app) == (0, 1)


def test_a_link_made_with_other_weights_is_told() -> None:
    app = opened({"revision": "sha256-000000000000"})
    (warning,) = app.warning
    assert "000000000000" in warning.value
    assert links.short_revision(revision("en-fr")).replace("-", r"\-") in warning.value


def test_what_the_link_asks_for_waits_until_something_can_be_shown() -> None:
    app = opened({"text": " ", "row_cross": "3", "layer": "99"})
    assert [w.value for w in app.warning] == [say("errors.text_empty")]
    app.text_area(key="text").set_value("I see a tree.").run()
    assert app.session_state.row_cross == 3
    assert "layer" in app.warning[0].value


def test_what_the_reader_chose_after_a_page_that_had_nothing_to_show_is_no_fault_of_the_link() -> None:
    app = opened({"model": "python", "text": "The board met on Tuesday. ", "layer": "1"}, "program")
    assert not app.session_state["drawn"]  # words are no program
    app.button(key="kind_open").click().run()
    assert app.session_state["drawn"]
    assert not app.warning
    app = opened({"model": "describe", "text": "one two three four five " * 50}, "heads")
    assert not app.session_state["drawn"]
    app = choose(choose(app, "text", "A parser."), "model", "en-fr")
    assert app.session_state["drawn"]
    assert not app.warning


def test_revision_tells_weights_apart(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert revision(str(tmp_path)) == ""
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(b"one")
    first = revision(str(tmp_path))
    assert first == "sha256-7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"
    weights.write_bytes(b"another")
    assert revision(str(tmp_path)) != first
    (tmp_path / "model-2.safetensors").write_bytes(b"more")
    assert len({first, revision(str(tmp_path)), revision("nowhere/at-all")}) == 3


def test_a_qr_code_holds_the_link_and_says_when_it_cannot() -> None:
    code = qr_code("http://127.0.0.1:8501/?text=a")
    assert code is not None
    assert code.svg_inline().startswith("<svg")
    assert qr_code("http://127.0.0.1/?text=" + "a" * 3000) is None


def test_every_choice_with_a_label_goes_by_its_id() -> None:
    """A bound widget writes its options' words into the link: where those are labels, it must not be bound."""
    for file in [*Path("viz").rglob("*.py"), Path("app.py")]:
        for call in re.split(r"\bst\.|\bcolumns\[|\bcolumn\.", file.read_text(encoding="utf-8")):
            call = call.split("\n\n")[0]
            widget = call[: call.find('bind="query-params"')] if 'bind="query-params"' in call else ""
            assert "format_func" not in widget, f"{file}: {widget}"


@pytest.mark.parametrize(
    ("link", "page"),
    [
        ({}, "whole"),
        ({"text": "She sees the sea."}, "whole"),
        ({"kind": "encoder", "layer": "2", "head": "6", "row_encoder": "3"}, "heads"),
        ({"row_cross": "4"}, "heads"),
    ],
)
def test_the_bare_address_shows_the_whole_model_but_a_head_where_an_old_link_names_one(
    link: dict[str, str], page: str
) -> None:
    app = opened(link, "")
    assert not app.exception
    assert not app.warning
    assert app.title[0].value == say(f"{page}.title")
    for name, value in link.items():
        assert str(app.session_state[name]) == value
    if "head" in link:
        assert shown_head(app) == (2, 6)


def test_a_link_to_the_whole_model_leads_back_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    found, finish = [], links.finish
    monkeypatch.setattr(links, "finish", lambda place: (finish(place), found.append(links.current_url())))
    app = opened({"kind": "encoder", "layer": "2", "head": "6"})
    choose(app, "row_encoder", 3)
    go_to(app, "whole")
    assert not set(links.HEAD) & set(app.query_params)
    assert "head=6" in found[0]
    assert not re.search("kind=|layer=|head=", found[-1])
