"""Compare through Streamlit's `AppTest`: pairs, changes, scales."""

from __future__ import annotations

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from tests.app.driving import choose, go_to, heat, texts
from viz.figures.theme import LIGHT
from viz.language.messages import say
from viz.sections.compare import compare_sides


def test_a_minimal_pair_is_compared(app: AppTest) -> None:
    go_to(app, "compare")
    choose(app, "compare", "pair")
    next(b for b in app.button if b.label == say("compare.take_pair")).click().run()
    assert not app.exception
    assert app.text_area(key="text").value.endswith("tired.")
    assert app.text_input(key="b_text").value.endswith("wide.")
    a, b, difference = (heat(app, number) for number in range(3))
    labels = app.session_state["drawn"]["map_a"].figure.layout.xaxis2.ticktext
    assert "tired (A)" in labels
    assert any(label.endswith("(B)") for label in labels)
    assert a["z"] != b["z"]
    assert difference["zmin"] == -difference["zmax"]


def test_a_run_before_and_after_a_change_and_with_itself(app: AppTest) -> None:
    go_to(app, "compare")
    choose(app, "compare", "edit")
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
    choose(app, "scale", scale)
    assert heat(app)["z"] != before
    app.toggle(key="sink").set_value(True).run()
    assert not app.exception
    assert any("of the attention went to special tokens" in c.value for c in app.caption)


@pytest.mark.parametrize("factor", ["0.0", "0.5"])
def test_what_a_scaled_head_adds_is_scaled(app: AppTest, factor: str) -> None:
    go_to(app, "compare")
    app.text_area(key="text").set_value("The red car is fast.").run()  # whose output stays without this head
    choose(app, "compare", "edit")
    choose(app, "scale", "norm")
    app.text_input(key="edits").set_value(f"heads:cross.0.3={factor}").run()
    assert not app.exception
    assert say("compare.no_norms") not in [one.value for one in app.info]
    a, b = (app.session_state["drawn"][key].figure.data[0].z for key in ("map_a", "map_b"))
    np.testing.assert_allclose(a, float(factor) * b, rtol=1e-3, atol=1e-5)


def test_where_lengths_cannot_be_had_the_rest_of_the_page_stays(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare_sides.Side, "value_norms", lambda side, weights: None)
    go_to(app, "compare")
    before = len(app.get("plotly_chart"))
    choose(app, "scale", "norm")
    assert say("compare.no_norms") in [one.value for one in app.info]
    assert len(app.get("plotly_chart")) == before - 3


def test_a_saved_page_frames_both_heads_that_are_compared(app: AppTest) -> None:
    go_to(app, "compare")
    tiles = app.session_state["drawn"]["compare_tiles"]
    state = app.session_state
    assert tiles.frames == {"A": [state["layer"], state["head"]], "B": [state["b_layer"], state["b_head"]]}
    assert [one.text for one in tiles.framed(LIGHT).layout.annotations] == ["<b>A</b>", "<b>B</b>"]
