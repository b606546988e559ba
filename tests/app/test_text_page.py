"""The Reading page: its texts, what they are tinted by, and what may be claimed."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests.app.driving import choose, go_to, opened, texts
from viz.frame import server_state
from viz.sections.texts import reading

LONG = "The red car stopped near the old house. " * 12


def page_html(app: object) -> str:
    return "".join(block.proto.body for block in app.get("html"))  # type: ignore[attr-defined]


def test_source_and_output_stand_beside_each_other() -> None:
    app = choose(go_to(opened(), "text"), "text", "Tom stopped. The red car is here.")
    html = page_html(app)
    assert html.count('class="read-text"') == 2
    assert html.count('class="cover"') == 2  # a bar for each sentence of the source
    assert 'data-stack="encoder"' in html
    assert 'data-stack="decoder"' in html
    figure = app.session_state["drawn"]["text"]
    written = "".join(figure.figure.data[1].text)
    assert written.count("%") == 2  # the figure to save has the shares, too
    table = figure.wide()
    assert abs(table.iloc[:, 2].sum() - 1) < 1e-4  # one row of weights
    assert len(table) == html.count('data-stack="encoder"')


def test_a_mean_and_rollout_say_what_they_claim() -> None:
    app = choose(go_to(opened(), "text"), "kind", "encoder")
    assert page_html(app).count('class="read-text"') == 1
    head = app.session_state["drawn"]["text"].wide()
    mean = choose(app, "reading_how", "head_mean").session_state["drawn"]["text"]
    assert "no head does exactly this" in mean.caption
    assert not np.allclose(head.iloc[:, 2], mean.wide().iloc[:, 2])
    rolled = choose(app, "reading_how", "rollout").session_state["drawn"]["text"]
    assert "describes no head that exists" in rolled.caption
    assert abs(rolled.wide().iloc[:, 2].sum() - 1) < 1e-4
    assert "Rollout" in rolled.figure.layout.title.text
    assert texts(app) is not None


def test_the_focus_token_is_the_row_that_is_said() -> None:
    app = go_to(opened(), "text")
    app.session_state["row_cross"] = 2
    app.run()
    name = app.session_state["drawn"]["text"].wide().columns[2].split(" looks")[0]
    assert name in page_html(app).split('class="text-said">')[1]


@pytest.mark.parametrize("page", ["text", "program"])
def test_a_long_text_is_in_sight_before_its_pass_is_made(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ahead: list[str] = []
    monkeypatch.setattr(reading.widget, "draw_ahead", lambda text, **_: ahead.append(text))
    app = go_to(opened(), page)
    assert not ahead
    server_state.result_cache().clear()
    with ThreadPoolExecutor(1) as pool, server_state._long_turns.held():
        running = pool.submit(choose, app, "text", LONG)
        while not ahead and not running.done():
            time.sleep(0.01)
        assert ahead == [LONG]
        assert not running.done()
    running.result(120)
    app.run()
    assert ahead == [LONG]  # it is there now


@pytest.mark.parametrize(("page", "text"), [("text", LONG * 200), ("program", LONG)])
def test_a_long_text_that_cannot_be_shown_leaves_nothing_ahead(page: str, text: str) -> None:
    app = choose(go_to(opened(), page), "text", text)
    assert 'class="read-' not in page_html(app)
