"""Inside a head: steps, the key that is worked out, and links to both; without a browser."""

from __future__ import annotations

import re

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from tests.app.driving import APP, choose, go_to, texts


def opened_at(**link: str) -> AppTest:
    """The page as a link opens it."""
    app = AppTest.from_file(str(APP), default_timeout=120)
    for name, value in link.items():
        app.query_params[name] = value
    return go_to(app, "inside")


@pytest.mark.parametrize(
    ("step", "figures"),
    [(1, {"vectors"}), (2, {"factors", "products", "sums", "dots"}), (3, {"dots", "scaled", "masked"}),
     (4, {"masked", "powers", "weights", "yours"}), (5, {"weights", "weighted"}), (6, {"match"})],
)  # fmt: skip
def test_each_step_is_a_screen_with_figures_of_its_own(step: int, figures: set[str]) -> None:
    app = opened_at(inside_step=str(step), text="The dog sees the dog.")
    assert not app.exception
    assert set(app.session_state["drawn"]) == figures
    assert app.latex[0].value.count("colorbox") >= 1


def test_next_and_back_lead_through_the_steps_and_stop_at_the_ends() -> None:
    app = opened_at()
    assert app.button(key="inside_back").disabled
    for step in (2, 3, 4, 5, 6):
        app.button(key="inside_next").click().run()
        assert app.session_state["inside_step"] == step
        assert app.query_params["inside_step"] == str(step)
    assert app.button(key="inside_next").disabled
    app.button(key="inside_back").click().run()
    assert app.session_state["inside_step"] == 5


def test_the_last_step_adds_up_to_the_score_of_the_run() -> None:
    app = opened_at(inside_step="6", kind="cross", layer="1", head="2", row_cross="3", key_cross="2")
    drawn = app.session_state["drawn"]["match"]
    cells = np.asarray(drawn.figure.data[0].z)
    assert cells.min() < 0 < cells.max()
    assert max(cells.shape) <= 14
    assert drawn.figure.data[0].zmin == -drawn.figure.data[0].zmax
    said = re.search(r"\*\*(-?\d+\.\d+)\*\* \(before the mask\)", texts(app))
    assert said is not None
    assert cells.sum() == pytest.approx(float(said[1]), abs=2e-3)
    assert drawn.table().iloc[:, 2].sum() == pytest.approx(cells.sum(), abs=1e-4)
    scores = choose(app, "inside_step", 3).session_state["drawn"]["masked"].figure.data[0]
    assert float(said[1]) == pytest.approx(float(scores.x[2]), abs=2e-3)


def test_the_key_follows_the_head_to_its_strongest_until_one_is_chosen() -> None:
    app = opened_at(kind="encoder", text="The dog sees the dog.")
    shown = []
    for _ in range(3):
        app.button(key="head_next").click().run()
        shown.append(app.session_state["key_encoder"])
    assert len(set(shown)) > 1
    chosen = (shown[-1] + 1) % 6
    choose(app, "key_encoder", chosen)
    app.button(key="head_next").click().run()
    assert app.session_state["key_encoder"] == chosen


def test_a_link_made_before_one_key_served_all_heads_still_opens_that_key() -> None:
    app = opened_at(kind="cross", layer="1", head="2", row_cross="2", key_cross_1_2_2="4", inside_step="2")
    assert app.session_state["key_cross"] == 4
    assert not app.warning


def test_another_divisor_is_in_the_link_and_changes_no_number_of_the_model() -> None:
    app = opened_at(inside_step="4", kind="encoder")
    own = app.session_state["drawn"]["weights"].figure.data[0].x.tolist()
    app.select_slider(key="divisor").set_value(0).run()
    assert app.query_params["divisor"] == "0"
    assert app.session_state["drawn"]["weights"].figure.data[0].x.tolist() == own
    assert app.session_state["drawn"]["yours"].figure.data[0].x.max() > max(own)


def test_a_changed_head_is_told() -> None:
    assert "multiplies this output by 0" in texts(opened_at(inside_step="5", edits="heads:cross.0.3=0"))
