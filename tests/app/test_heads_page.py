"""The sentence bar and Heads through Streamlit's `AppTest`: sentence, head, row, words, forced output, examples."""

from __future__ import annotations

import json
import struct

import pytest
from streamlit.testing.v1 import AppTest

from model.translator.translator import Translator
from tests.app.driving import choose, go_to, heat, output_line, shown_head
from viz.frame.bars import sentence_bar
from viz.language.messages import say


def test_another_sentence_changes_map_and_translation(app: AppTest) -> None:
    before, map_before = output_line(app), heat(app)["z"]
    assert before == "→ <s> La voiture rouge s' est arrêt ·ée ."
    app.text_area(key="text").set_value("She is my sister.").run()
    assert not app.exception
    assert heat(app)["z"] != map_before
    assert output_line(app) == "→ <s> C' est ma sœur ."


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
    choose(app, "head", 1)
    choose(app, "layer", 0)
    assert heat(app)["z"] != first
    choose(app, "kind", "encoder")
    go_to(app, "inside")
    go_to(app, "layers")
    assert not app.exception
    assert len(passes) == 1


def test_head_follows_from_page_to_page(app: AppTest) -> None:
    choose(app, "kind", "encoder")
    choose(app, "head", 6)
    assert shown_head(app) == (0, 6)
    go_to(app, "inside")
    assert (app.session_state.kind, app.session_state.head) == ("encoder", 6)
    go_to(app, "heads")
    assert shown_head(app) == (0, 6)


def test_arrows_go_round_in_a_circle(app: AppTest) -> None:
    shown = []
    for key in ("layer_up", "head_left", "layer_down", "head_right"):  # from layer 0, head 3 of 3 × 8
        for _ in range(4 if key == "head_left" else 1):
            app.button(key=key).click().run()
        shown.append((app.session_state.layer, app.session_state.head))
        assert shown_head(app) == shown[-1]
    assert shown == [(2, 3), (2, 7), (0, 7), (0, 0)]


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
    choose(app, "whose", "forced")
    assert [w.value for w in app.warning] == [say("errors.target_empty")]
    app.text_input(key="target").set_value("L'auto rouge a freiné.").run()
    assert not app.warning
    assert output_line(app).startswith("→ <s> L' aut ·o rouge a fre ·iné")
    assert "auto rouge" in app.session_state.ran[0][-1].output


def test_every_example_can_be_chosen(app: AppTest) -> None:
    fitting = [i for i, one in enumerate(sentence_bar.examples()) if "encoder-decoder" in one["suits"]]
    assert len(fitting) >= 5
    for number in fitting:
        app.session_state["examples"] = True  # the menu is open
        app.run()
        assert say(f"examples.{sentence_bar.examples()[number]['why']}") in [one.value for one in app.caption]
        app.button(key=f"example_{number}").click().run()
        assert not app.exception
        assert not app.warning
        assert app.text_area(key="text").value == sentence_bar.examples()[number]["text"]
