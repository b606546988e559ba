"""The guard: whatever a model or a page raises is one sentence on the page, with details for who runs the server."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from streamlit.testing.v1 import AppTest

from model.translator.translator import Translator
from tests.app.driving import PAGES, go_to
from viz.frame import guard, links, server_state
from viz.language.messages import say
from viz.widgets import headings

pytestmark = pytest.mark.guarded
SIZES = "mat1 and mat2 shapes cannot be multiplied (5x7 and 9x11)"


class PanicException(BaseException):
    """What Rust code raises in Python when it panics."""


FAILURES = [
    (RuntimeError(SIZES), "pass"),
    (KeyError("layer"), "pass"),
    (PanicException("index out of bounds"), "pass"),
    (RecursionError("maximum recursion depth exceeded"), "deep"),
    (MemoryError(), "memory"),
    (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 bytes"), "memory"),
]


def raising(error: BaseException) -> Any:
    def fail(*args: object, **kwargs: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize(("error", "reason"), FAILURES, ids=lambda one: str(one)[:20])
def test_what_a_pass_raises_is_a_sentence(
    app: AppTest, monkeypatch: pytest.MonkeyPatch, error: BaseException, reason: str
) -> None:
    monkeypatch.setattr(Translator, "trace_batch", raising(error))
    app.text_area(key="text").set_value("A sentence of its own.").run()
    assert not app.exception
    assert [one.value for one in app.error] == [say(f"errors.failed_{reason}")]
    assert app.text_area(key="text").value == "A sentence of its own."


@pytest.mark.parametrize("page", PAGES)
def test_every_page_stays_whole_where_the_model_fails(
    shared: AppTest, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    app = go_to(shared, page)
    monkeypatch.setattr(Translator, "trace_batch", raising(RuntimeError(SIZES)))
    app.text_area(key="text").set_value("Another one.").run()
    assert not app.exception
    assert say("errors.failed_pass") in [one.value for one in app.error]
    assert app.text_area(key="text").value == "Another one."
    monkeypatch.undo()
    app.text_area(key="text").set_value("It works again.").run()
    assert not app.error
    assert app.get("plotly_chart") or page == "text"


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_raises_is_a_sentence(shared: AppTest, monkeypatch: pytest.MonkeyPatch, page: str) -> None:
    monkeypatch.setattr(headings, "page_heading", raising(PanicException(SIZES)))
    app = go_to(shared, page)
    assert not app.exception
    assert say("errors.failed_page") in [one.value for one in app.error]
    assert app.text_area(key="text").value


@pytest.mark.parametrize("page", PAGES)
def test_numbers_that_overflow_are_a_sentence_on_every_page(
    app: AppTest, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    model = server_state.model_registry().get("en-fr", "auto")
    weights = model.module.embedding.weight  # type: ignore[attr-defined]
    kept = weights.detach().clone()
    try:
        with torch.no_grad():
            weights.fill_(torch.inf)
        go_to(app, page)
        app.text_area(key="text").set_value("Numbers overflow here.").run()
    finally:
        with torch.no_grad():
            weights.copy_(kept)
    assert not app.exception
    assert say("errors.not_finite") in [one.value for one in app.warning]


def test_a_broken_link_or_frame_leaves_the_page(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "finish", raising(ValueError("x")))
    app.run()
    assert not app.exception
    assert [one.value for one in app.error] == [say("errors.failed_page")]
    assert app.get("plotly_chart")


def test_only_who_runs_the_server_reads_details(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Translator, "trace_batch", raising(RuntimeError(SIZES)))
    monkeypatch.setattr(guard, "details_allowed", lambda: True)
    app.text_area(key="text").set_value("One.").run()
    assert any(SIZES in block.value for block in app.code)
    monkeypatch.setattr(guard, "details_allowed", lambda: False)
    app.text_area(key="text").set_value("Two.").run()
    assert not any(SIZES in block.value for block in app.code)
    assert SIZES not in "".join(one.value for one in app.error)


@pytest.mark.parametrize(
    ("headers", "address", "allowed"),
    [
        ({}, "127.0.0.1", True),
        ({"Host": "localhost:8501"}, "127.0.0.1", True),
        ({"Host": "127.0.0.1:8501"}, "localhost", True),
        ({"Host": "[::1]:8501"}, "::1", True),
        ({"Host": "localhost:8501"}, "0.0.0.0", False),
        ({"Host": "localhost:8501"}, "", False),
        ({"Host": "school.example"}, "127.0.0.1", False),
        ({"Host": "localhost:8501", "X-Forwarded-For": "10.0.0.7"}, "127.0.0.1", False),
        ({"Host": "127.0.0.1.example.org"}, "127.0.0.1", False),
    ],
)
def test_details_are_for_this_computer_alone(
    monkeypatch: pytest.MonkeyPatch, headers: dict[str, str], address: str, allowed: bool
) -> None:
    monkeypatch.setattr(guard.st, "context", SimpleNamespace(headers=headers))
    monkeypatch.setattr(guard.st, "get_option", lambda name: address if name == "server.address" else None)
    assert guard.details_allowed() is allowed
