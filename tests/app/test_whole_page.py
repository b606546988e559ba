"""Boxes of the whole model left out by the choice beside the picture, the panel of changes and a link."""

from __future__ import annotations

from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from model.trace.edits import Edits
from tests.app.driving import badge, changed, go_to, output_line
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
