"""Boxes of the whole model left out by the choice beside the picture, the panel of changes and a link."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from streamlit.delta_generator import DeltaGenerator
from streamlit.testing.v1 import AppTest

from model.catalog.entries import Entry
from model.trace.edits import Edits
from tests.app.driving import badge, changed, go_to, offering, output_line
from tests.model.huggingface.small_models import TEXT
from tests.model.huggingface.test_families import build
from viz.frame import server_state
from viz.frame.shown_run import decompositions
from viz.language.messages import say
from viz.widgets.menus.box_change import with_box

CROSS = "left_out_decoder_1"


@pytest.fixture
def whole(app: AppTest) -> AppTest:
    return go_to(app, "whole")


def pressed(app: AppTest, key: str) -> Any:
    return next(one for one in app.get("button_group") if one.key == key)


def note(app: AppTest, name: str) -> str:
    """What a box of the picture says it adds."""
    table = app.session_state["drawn"]["whole"].figure.layout.meta["boxes"]
    return str(next(box for box in table if box["name"] == name)["note"])


def test_a_box_is_left_out_and_put_back_beside_the_picture(whole: AppTest) -> None:
    before = output_line(whole)
    share = note(whole, "decoder.1.1")
    pressed(whole, CROSS).set_value(["cross_attention"]).run()
    assert whole.session_state["edits"] == "blocks:decoder.1.cross_attention"
    assert changed(whole) == ["Decoder: without encoder-decoder attention in layer 1."]
    assert say("bar.before") in output_line(whole)
    assert badge(whole).startswith(":green[")
    assert note(whole, "decoder.1.1") == f"adds nothing (was {share.removeprefix('adds ')})"
    assert note(whole, "encoder.1.0").startswith("adds ")
    pressed(whole, "left_out_encoder_1").set_value(["feed_forward"]).run()
    assert len(changed(whole)) == 2
    pressed(whole, CROSS).set_value([]).run()
    assert whole.session_state["edits"] == "blocks:encoder.1.feed_forward"
    whole.session_state["changing"] = True
    whole.run().button(key="undo_panel_0").click().run()
    assert not changed(whole)
    assert pressed(whole, "left_out_encoder_1").value == []
    assert output_line(whole) == before
    assert note(whole, "decoder.1.1") == share
    assert not whole.exception


def test_a_link_leaves_a_norm_out_and_the_panel_puts_it_back(whole: AppTest) -> None:
    share = note(whole, "encoder.1.1")
    whole.session_state["edits"] = "blocks:encoder.1.attention_norm;blocks:decoder.1.feed_forward_gain"
    whole.run()
    assert changed(whole) == [
        "Decoder: without gain of the norm of: feed-forward in layer 1.",
        "Encoder: without norm of: self-attention in layer 1.",
    ]
    assert badge(whole).startswith(":green[")
    assert note(whole, "encoder.1.1") != share
    assert whole.session_state["whole_marks"]["encoder.1.0"][1:] == [
        (say("head_menu.put_back_part", part=say("head_menu.part_norm")), "encoder.1.0.norm"),
        (say("head_menu.leave_out_part", part=say("head_menu.part_gain")), "encoder.1.0.gain"),
    ]
    assert pressed(whole, "left_out_encoder_1").value == []  # the buttons are for whole boxes
    assert not whole.exception


def test_the_last_norm_is_left_out_by_a_menu_and_how_far_the_boxes_are_read_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build("gpt2", tmp_path)
    told: list[str] = []
    monkeypatch.setattr(decompositions, "PATIENCE", 0)
    progress = DeltaGenerator.progress

    def noted(place: DeltaGenerator, value: float, text: str) -> DeltaGenerator:
        told.append(text)
        return progress(place, value, text)

    monkeypatch.setattr(DeltaGenerator, "progress", noted)
    server_state.drop_all()  # the name may stand for another folder
    with offering(
        "made", Entry("made", "decoder", 0, "", "", ("decoder", 2, 4), folder=tmp_path), TEXT, "whole"
    ) as app:
        assert told == [say("whole.reading", number=number, count=2) for number in (1, 2)]
        assert not app.get("progress")
        marks = app.session_state["whole_marks"]
        item = (say("head_menu.leave_out_part", part=say("head_menu.part_final_norm")), "decoder.final_norm")
        for name in ("output", "decoder.1", "decoder.1.1"):  # of the last layer, folded and open
            assert item in marks[name]
        assert item not in marks["decoder.0.0"]
        assert app.session_state["whole_places"]["decoder.final_norm"] == ("decoder", 1, "final_norm")
        app.session_state["edits"] = "blocks:decoder.1.final_norm"
        app.run()
        assert changed(app) == ["Decoder: without norm of: last state."]
        assert badge(app).startswith(":green[")
        said = [note.text for note in app.session_state["drawn"]["whole"].figure.layout.annotations]
        assert f"▲ {say('whole.norm_out')}" in said
        assert not app.exception


def test_a_link_leaves_a_box_of_every_layer_out_and_one_layer_can_be_put_back(whole: AppTest) -> None:
    whole.session_state["edits"] = "blocks:encoder.*.feed_forward"
    whole.run()
    assert changed(whole) == ["Encoder: without feed-forward in every layer."]
    assert pressed(whole, "left_out_encoder_1").value == ["feed_forward"]
    pressed(whole, "left_out_encoder_1").set_value([]).run()
    assert Edits.parse(whole.session_state["edits"]).blocks == {
        ("encoder", 0, "feed_forward"),
        ("encoder", 2, "feed_forward"),
    }


def test_a_box_that_the_model_does_not_have_is_said(whole: AppTest) -> None:
    whole.text_input(key="edits").set_value("blocks:decoder.40.attention").run()
    assert whole.warning[0].value == say("change.unfit", count=1)
    assert not changed(whole)
    assert not whole.exception


def test_one_box_changes_and_the_others_stay() -> None:
    boxes = {"decoder": (("attention", "feed_forward"), ("feed_forward",))}
    place = ("decoder", 1, "feed_forward")
    edits = Edits(blocks={("decoder", 0, "attention")}, positions="off")
    out = with_box(edits, boxes, place, left_out=True)
    assert out == Edits(blocks={("decoder", 0, "attention"), place}, positions="off")
    assert with_box(out, boxes, place, left_out=True) == out
    assert with_box(out, boxes, place, left_out=False) == edits
    everywhere = Edits(blocks={("decoder", None, "feed_forward")})
    assert with_box(everywhere, boxes, place, left_out=False) == Edits(blocks={("decoder", 0, "feed_forward")})
