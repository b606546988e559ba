"""Who wrote a word, on Output: bars that add up, another word to compare with, and heads that open; no browser."""

from __future__ import annotations

import numpy as np
import pytest

from tests.app.driving import go_to, opened, texts


def test_who_wrote_a_word_follows_the_step_and_the_other_word() -> None:
    app = opened()
    app.session_state["who"] = True  # the part of the page is open
    app.session_state["step"] = 1
    go_to(app, "output")
    assert not app.exception
    bars = app.session_state["drawn"]["who_bars"].figure.data[0]
    first = next(line for line in texts(app).split("\n") if "against" in line and "Most of all" in line)
    difference = float(first.split("scores ")[1].split(" ")[0])
    assert difference > 0  # the likeliest token was written
    assert np.sum(bars.x) == pytest.approx(difference, abs=6e-3)
    box = app.selectbox(key="who_against")
    box.select_index(len(box.options) - 1).run()
    assert first not in texts(app)


def test_a_click_on_a_head_opens_it() -> None:
    app = opened()
    app.session_state["who_leads_away"] = True
    app.session_state["layer"], app.session_state["head"], app.session_state["kind"] = 1, 3, "decoder"
    go_to(app, "output")
    assert "head 3" in " ".join(one.value for one in app.header)


def test_what_a_head_adds_itself_stands_beside_what_silencing_it_changes() -> None:
    app = opened()
    app.session_state["direct"] = True
    go_to(app, "changes")
    assert not app.exception
    drawn = app.session_state["drawn"]
    points = [trace for trace in drawn["direct_heads"].figure.data if len(trace.x)]
    assert {str(place[0]) for trace in points for place in trace.customdata} == {"decoder", "cross"}
    strongest = tuple(drawn["ranked"].figure.data[-1].customdata[0])
    effect = {tuple(place): y for trace in points for place, y in zip(trace.customdata, trace.y, strict=True)}
    assert effect[strongest] == pytest.approx(float(drawn["ranked"].figure.data[-1].x[0]), abs=1e-5)
    credit = np.concatenate([trace.x for trace in points])
    assert credit.min() < 0 < credit.max()
