"""The Uses page: each card opens a model that is here with its example, and what does not fit is noticed."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from model.assets import ASSETS
from model.catalog.entries import CATALOG
from model.structures.protein import bundled, known_structure
from model.structures.reaction import known_map
from tests.app.driving import choose, go_to, opened, texts
from viz.frame import model_names
from viz.frame.bars import kind_notice
from viz.language.messages import say
from viz.sections import uses

PROTEIN = "EVQLVESGGGLVQPGGSLRLSCAASGFTF"


def test_every_card_names_models_and_pages_that_are_there() -> None:
    cards = tomllib.loads((ASSETS / "uses.toml").read_text(encoding="utf-8"))["use"]
    assert [card["name"] for card in cards] == [
        "translation",
        "summary",
        "writing",
        "biology",
        "code",
        "video",
        "speech",
    ]
    for card in cards:
        tried = {one["model"] for one in card["try"]}
        assert tried <= set(CATALOG)
        assert set(card["larger"]) <= set(CATALOG)
        assert all(Path(f"viz/pages/{one['page']}.py").is_file() for one in card["try"])
        assert say(f"uses.{card['name']}")
        assert say(f"uses.{card['name']}_about")


def test_a_card_opens_the_first_model_that_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    card = {"try": [{"model": "gpt2"}, {"model": "en-fr"}]}
    assert uses.chosen_try(card)["model"] == "en-fr"
    monkeypatch.setattr(uses, "local_folder", lambda name: None)
    assert uses.chosen_try(card)["model"] == "gpt2"


def test_the_licence_stands_on_every_button_that_leads_to_a_download(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uses, "local_folder", lambda name: None)
    monkeypatch.setattr(model_names, "local_folder", lambda name: None)
    app = go_to(opened(), "uses")
    labels = {one.key: one.label for one in app.button if (one.key or "").startswith("use_")}
    for card in uses.uses():
        first, *others = dict.fromkeys([*(one["model"] for one in card["try"]), *card["larger"]])
        buttons = {f"use_open_{card['name']}": first} | {f"use_{card['name']}_{other}": other for other in others}
        for key, name in buttons.items():
            entry = CATALOG[name]
            said = "not for commercial use" if entry.is_non_commercial else entry.licence
            assert f"{entry.size} MB, {said}" in labels[key].replace("\\", ""), key


def test_one_click_opens_model_and_example() -> None:
    app = go_to(choose(opened(), "text", "Something else."), "uses")
    assert "GPT-3" in texts(app)
    for card in uses.uses():  # what has to be fetched first stands back
        is_here = bool(uses.local_folder(uses.chosen_try(card)["model"]))
        assert (app.button(key=f"use_open_{card['name']}").proto.type == "primary") == is_here
    app.button(key="use_open_translation").click().run()
    assert not app.exception
    assert app.session_state["model"] == "en-fr"
    assert app.text_area(key="text").value == "The red car stopped."
    assert "heatmap" in app.session_state["drawn"]  # the page that the card names


def test_the_first_screen_leads_to_each_use_whose_model_is_here_and_not_on_screen() -> None:
    app = go_to(opened(), "whole")
    here = {card["name"] for card in uses.uses() if uses.local_folder(uses.chosen_try(card)["model"])} - {"translation"}
    shown = {one.key.removeprefix("use_now_") for one in app.button if (one.key or "").startswith("use_now_")}
    assert shown == here >= {"writing", "video"}
    app.button(key="use_now_writing").click().run()
    assert not app.exception
    assert app.session_state["model"] in ("smollm2", "python")
    assert "step_candidates" in app.session_state["drawn"]  # Output, with the choice of the next token


def test_the_card_of_video_opens_the_frames_of_a_clip() -> None:
    app = go_to(choose(opened(), "text", "Something else."), "uses")
    app.session_state["row_time"] = 3  # of a visit before
    app.button(key="use_open_video").click().run()
    assert not app.exception
    assert app.session_state["model"] == "moving-digits"
    assert {"frames", "tracks"} <= set(app.session_state["drawn"])
    assert app.session_state["row_time"] == 11  # the page opens on the digit


def test_every_example_of_proteins_and_reactions_is_known() -> None:
    cards = tomllib.loads((ASSETS / "uses.toml").read_text(encoding="utf-8"))["use"]
    tried = {one["page"]: one["text"] for card in cards for one in card["try"] if "text" in one}
    assert known_structure(tried["protein"], bundled())
    assert known_map(tried["chemistry"])


def test_a_protein_in_a_translator_is_noticed_and_a_model_offered() -> None:
    app = choose(opened(), "text", PROTEIN)
    notice = say("kind.notice", kind=say("kind.protein"), reads=say("kind.language"))
    assert notice in texts(app)
    assert app.text_area(key="text").value == PROTEIN  # what was typed stays
    assert app.button(key="kind_open").label.startswith("Open it in AntiBERTy")
    app = choose(app, "text", "The red car stopped.")
    assert notice not in texts(app)


REACTION = "C1COCCN1.ClC(=O)c1ccccc1>>O=C(c1ccccc1)N1CCOCC1"
PROGRAM = "def mean(values):\n    total = sum(values)\n    return total / len(values)\n"
PROSE = "The school board met on Tuesday and decided to hire five more drivers. "


@pytest.mark.parametrize(
    ("model", "typed", "offered", "key"),
    [
        ("en-fr", PROGRAM, "python", "program"),
        ("describe", PROGRAM, "python", "program"),
        ("python", PROSE, "en-fr", ""),
        ("python", 20 * PROSE, "en-fr", "text"),
        ("describe", 12 * PROSE, "en-fr", "text"),  # the right kind, and too long
    ],
)
def test_the_offered_model_reads_what_was_typed_on_the_page_for_it(
    model: str, typed: str, offered: str, key: str
) -> None:
    app = choose(choose(go_to(opened(), "heads"), "model", model), "text", typed)
    app.button(key="kind_open").click().run()
    assert not app.exception
    assert not app.warning
    assert app.session_state["model"] == offered
    assert app.text_area(key="text").value == typed
    assert app.session_state["page_drawn"] == (key or "heads")
    assert "kind_open" not in {one.key for one in app.button}


def test_what_has_to_be_fetched_is_said_with_the_offer(monkeypatch: pytest.MonkeyPatch) -> None:
    here = kind_notice.local_folder
    monkeypatch.setattr(kind_notice, "local_folder", lambda name: here(name) if CATALOG[name].folder else None)
    monkeypatch.setattr(model_names, "local_folder", kind_notice.local_folder)
    app = choose(opened(), "text", PROTEIN)
    assert app.button(key="kind_open").label == "Open it in AntiBERTy · 97 MB, MIT"
    app = choose(app, "text", REACTION)
    assert app.button(key="kind_open").label.startswith("Open it in RXNMapper · ")


def test_a_model_is_offered_that_has_room_for_the_text() -> None:
    def offered(kind: str, text: str) -> str:
        return kind_notice.readers(kind, text)[0]

    assert offered("language", PROSE) == "en-fr"
    assert CATALOG[offered("language", 40 * PROSE)].longest >= 1024  # 2,840 letters
    assert offered("protein", "ACDEFGHIKLMNPQRSTVWY" * 40) == "esm2"  # 800 residues
    assert offered("code", 60 * PROGRAM) in ("smollm2", "codegen", "gpt2")


def test_a_page_for_other_texts_gives_way_to_heads() -> None:
    app = choose(go_to(opened(), "program"), "model", "python")
    app = choose(app, "text", PROSE)
    app.button(key="kind_open").click().run()
    assert not app.exception
    assert (app.session_state["model"], app.session_state["page_drawn"]) == ("en-fr", "heads")
    assert app.text_area(key="text").value == PROSE
