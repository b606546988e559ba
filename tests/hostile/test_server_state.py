"""What messages, settings and saved files of a shared server do not do: drop models, name files, run formulas."""

from __future__ import annotations

import csv
import io
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

import model
from model.trace.edits import Edits
from viz.frame import server_state
from viz.saving import tables
from viz.saving.tables import answers_csv
from viz.widgets.menus import save_menu

STARTS = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\uff1d1+1", "\uff0b1", "\uff0d1", "\uff20SUM(A1)")


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the models that the registry opens from here on."""
    opened: list[str] = []

    def load(name: str, device: str) -> model.Lens:
        opened.append(name)
        return model.load(name, device)

    server_state.drop_all()
    monkeypatch.setattr(server_state.model_registry(), "_load", load)
    return opened


def test_a_browsers_message_drops_no_opened_model_and_no_result(loads: list[str]) -> None:
    opened = server_state.model_registry().get("en-fr", "cpu")
    trace = server_state.cached_traces("en-fr", "cpu", ("I see.",), (None,), Edits())[0]
    for _ in range(3):
        st.cache_resource.clear()  # what the message `clear_cache` does
        st.cache_data.clear()
        assert server_state.model_registry().get("en-fr", "cpu") is opened
        assert server_state.cached_traces("en-fr", "cpu", ("I see.",), (None,), Edits())[0] is trace
    assert loads == ["en-fr"]


def test_no_part_of_the_app_keeps_anything_in_streamlits_caches() -> None:
    for file in (Path("app.py"), *Path("viz").rglob("*.py")):
        assert "@st.cache_" not in file.read_text(encoding="utf-8"), file


def test_all_results_count_in_one_budget(loads: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    cache = server_state.result_cache()
    app = AppTest.from_file(str(Path("app.py").resolve()), default_timeout=120).run()
    app.switch_page("viz/pages/output.py").run()
    assert not app.exception
    app.switch_page("viz/pages/changes.py").run()
    assert not app.exception
    kinds = {key[0] for key in cache._results if isinstance(key, tuple)}
    assert {"run", "decode", "logit_lens", "head_effects"} <= kinds
    assert cache.bytes == sum(size for _, size in cache._results.values())
    sizes = [size for key, (_, size) in cache._results.items() if isinstance(key, tuple) and key[0] in kinds]
    assert min(sizes) > 0
    server_state.drop_all()
    assert cache.bytes == 0
    assert server_state.model_registry().open_keys() == []


def test_errors_are_told_without_files_and_the_server_listens_on_this_computer() -> None:
    settings = tomllib.loads(Path(".streamlit/config.toml").read_text())
    assert settings["client"]["showErrorDetails"] == "none"
    assert settings["server"]["address"] == "127.0.0.1"
    readme = Path("README.md").read_text()
    assert "--server.address 0.0.0.0" in readme
    assert len(readme.splitlines()) <= 150


def test_a_figures_table_runs_no_formulas() -> None:
    table = pd.DataFrame(
        {
            "=token": list(STARTS),
            "weight": np.arange(len(STARTS)) - 3.5,
            "mixed": [*STARTS[:3], -1.5, None, True, *STARTS[6:]],
            "n": [-1] * len(STARTS),
        }
    )
    rows = list(csv.reader(io.StringIO(save_menu._csv(lambda: table).decode("utf-8-sig"), newline="")))
    assert rows[0] == ["'=token", "weight", "mixed", "n"]
    # A carriage return would end the row where CSV does not quote it.
    assert [row[0] for row in rows[1:]] == ["'" + start.replace("\r", "\n") for start in STARTS]
    assert [row[1] for row in rows[1:3]] == ["-3.5", "-2.5"]  # numbers stay numbers
    assert [row[2] for row in rows[1:]] == [
        *(f"'{start}" for start in STARTS[:3]),
        "-1.5",
        "",
        "True",
        *(f"'{start}" for start in STARTS[6:]),
    ]
    assert rows[1][3] == "-1"
    assert list(table["=token"]) == list(STARTS)  # the table on the page is as it was


def test_repeated_headings_and_categories_are_guarded_too() -> None:
    table = pd.DataFrame([["=a", "b"]], columns=["x", "x"])
    assert tables.table_csv(table) == "x,x\n'=a,b\n"
    assert tables.table_csv(pd.DataFrame({"x": pd.Categorical(["-a", "b"])})) == "x\n'-a\nb\n"


def test_a_lessons_answers_use_the_same_guard() -> None:
    content = answers_csv([("now", "lesson", 1, "question", start, "") for start in STARTS]).decode("utf-8-sig")
    rows = list(csv.reader(io.StringIO(content, newline="")))
    assert [row[4] for row in rows[1:]] == [f"'{start}" for start in STARTS]
