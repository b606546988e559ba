"""The badge of each page: three verdicts, what the page draws, and red where that is not what was computed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from model.trace.check import Check, not_compared
from model.trace.trace import Trace
from tests.app.driving import badge, choose, go_to, opened, texts
from viz.figures import heads as head_figures
from viz.frame.shown_run import decompositions, results
from viz.language.messages import say
from viz.sections.heads import head_view
from viz.sections.texts import reading
from viz.widgets import page_check

PAGES = ["whole", "heads", "compare", "inside", "masks", "layers", "positions", "text", "output", "changes"]


def open_page(page: str, text: str = "") -> AppTest:
    """The app on a page, with a sentence in the box."""
    app = opened()
    if text:
        app.text_area(key="text").set_value(text).run()
    app = app if page == "heads" else go_to(app, page)
    assert not app.exception
    return app


@pytest.mark.parametrize("page", PAGES)
def test_each_page_names_what_it_draws(shared: AppTest, page: str) -> None:
    app = go_to(shared, page)
    assert not app.exception
    assert badge(app).startswith(":green[")
    assert "Proved" in badge(app)
    app.session_state["badge_page"] = True  # open
    app.run()
    said = texts(app)
    checked = {part.name for part in app.session_state["ran"][0][-1].verify().parts}
    for name in page_check.DRAWS[page]:
        if name in checked or name in ("drawn", "lens", "effects", "boxes", "text"):
            assert say(f"badge.part_{name}") in said, name


def test_a_long_text_is_shown_before_it_is_checked() -> None:
    app = open_page("heads", "and the red car stopped near the old house " * 10)
    assert say("badge.waiting") in texts(app)
    trace = app.session_state["ran"][0][-1]
    end = time.monotonic() + 120
    while not trace.is_verified:
        assert time.monotonic() < end
        time.sleep(0.05)
    app.run()
    assert "Proved" in badge(app)


@pytest.mark.parametrize(("verdict", "sign"), [("repeated", ":gray["), ("wrong", ":red[")])
def test_a_repetition_is_grey_and_a_fault_red(verdict: str, sign: str, monkeypatch: pytest.MonkeyPatch) -> None:
    verify = Trace.verify

    def changed(self: Trace) -> Check:
        check = verify(self)
        return replace(check, independent=False) if verdict == "repeated" else replace(check, leaked_mass=0.1)

    monkeypatch.setattr(Trace, "verify", changed)
    app = open_page("heads")
    assert badge(app).startswith(sign)
    assert "verified" not in badge(app)


def upside_down(figure: Any) -> Any:
    figure.data[0].z = np.asarray(figure.data[0].z)[::-1]
    return figure


DRAWN: dict[str, tuple[Any, str, Callable[..., Any]]] = {
    "upside down": (head_view, "head_heatmap", lambda right: lambda *a, **k: upside_down(right(*a, **k))),
    "another head": (
        head_view,
        "head_heatmap",
        lambda right: lambda one, layer, head, *a, **k: right(one, layer, (head + 1) % 8, *a, **k),
    ),
    "lines of another head": (
        head_view,
        "token_lines",
        lambda right: lambda one, layer, head, *a, **k: right(one, layer, (head + 1) % 8, *a, **k),
    ),
    "tiles in another order": (head_figures, "resize", lambda right: lambda maps, size: right(maps[::-1], size)),
}


@pytest.mark.parametrize("fault", DRAWN)
def test_a_picture_that_is_drawn_wrongly_turns_the_badge_red(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    place, name, change = DRAWN[fault]
    monkeypatch.setattr(place, name, change(getattr(place, name)))
    text = f"The red car stopped {len(fault)} times."  # a run whose picture no other test has cached
    app = open_page("heads", text=text)
    assert badge(app).startswith(":red["), fault
    assert say("badge.part_drawn") in badge(app)


def test_a_wrong_logit_lens_turns_the_badge_red(monkeypatch: pytest.MonkeyPatch) -> None:
    right = results.logit_lens
    monkeypatch.setattr(results, "logit_lens", lambda *a: tuple(part[::-1] for part in right(*a)))  # type: ignore[union-attr]
    app = open_page("output", text="The blue car stopped at the corner.")
    assert badge(app).startswith(":red[")
    assert say("badge.part_lens") in badge(app)


def test_wrong_effects_turn_the_badge_red(monkeypatch: pytest.MonkeyPatch) -> None:
    right = results.head_effects

    def doubled(*args: Any, **more: Any) -> Any:
        effects, in_bits = right(*args, **more)  # type: ignore[misc]
        return {kind: 2 * one for kind, one in effects.items()}, in_bits

    monkeypatch.setattr(results, "head_effects", doubled)
    app = open_page("changes", text="The green car stopped at the corner.")
    assert badge(app).startswith(":red[")
    assert say("badge.part_effects") in badge(app)


def test_boxes_that_do_not_add_up_turn_the_badge_red(monkeypatch: pytest.MonkeyPatch) -> None:
    right = decompositions.block_summaries
    wrong = lambda trace: {stack: replace(one, error=0.01) for stack, one in right(trace).items()}  # noqa: E731
    monkeypatch.setattr(decompositions, "block_summaries", wrong)
    app = open_page("whole", text="The old car stopped at the corner.")
    assert badge(app).startswith(":red[")
    assert say("badge.part_boxes") in badge(app)


def test_a_text_tinted_by_another_head_turns_the_badge_red(monkeypatch: pytest.MonkeyPatch) -> None:
    right = reading._weights

    def another(trace: Trace, selected: Any, how: str) -> Any:
        return right(trace, replace(selected, head=(selected.head + 1) % 8), how)

    monkeypatch.setattr(reading, "_weights", another)
    app = open_page("text", text="The new car stopped at the corner.")
    assert badge(app).startswith(":red[")
    assert say("badge.part_text") in badge(app)


def test_what_is_compared_with_nothing_is_said() -> None:
    app = choose(
        choose(open_page("text", text="The wet car stopped at the corner."), "kind", "encoder"),
        "reading_how",
        "rollout",
    )
    assert badge(app).startswith(":green[")
    app.session_state["badge_page"] = True
    app.run()
    assert say("badge.uncompared", parts=say("badge.part_text")) in texts(app)
    assert say("badge.proved_but", parts=say("badge.part_text")) in badge(app)
    assert "verified" not in badge(app)


def test_a_part_that_no_run_was_compared_with_is_not_called_proved(monkeypatch: pytest.MonkeyPatch) -> None:
    verify = Trace.verify

    def fewer(self: Trace) -> Check:
        check = verify(self)
        return replace(check, parts=tuple(part for part in check.parts if part.name != "neurons"))

    monkeypatch.setattr(Trace, "verify", fewer)
    monkeypatch.setattr(Trace, "verify_probe", lambda self, probe: not_compared(probe))
    app = open_page("layers", text="The dry car stopped at the corner.")
    assert say("badge.proved_but", parts=say("badge.part_neurons")) in badge(app)
