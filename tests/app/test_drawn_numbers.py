"""Figures are read back: equal to the run as they are drawn, and wrong after each way of breaking them."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
import streamlit as st
from PIL import Image

from model.catalog.entries import Entry
from model.trace.check import Part
from model.trace.trace import Trace
from tests.app.driving import badge, go_to, offering, opened, texts
from tests.model.huggingface.test_families import TEXT, build
from viz.figures.reading_back import picture_pixels
from viz.frame import server_state
from viz.frame.shown_run import results
from viz.language.messages import say
from viz.widgets import page_check
from viz.widgets.drawn_numbers.table import READERS

SENTENCE = "the cat saw the dog that saw the cat"


def _numbers(figure: go.Figure) -> list[tuple[Any, str]]:
    """The traces that show numbers, and where each has them."""
    found = []
    has_map = any(one.type == "heatmap" for one in figure.data)  # what lies over it are marks
    for one in figure.data:
        if one.type == "heatmap":
            found.append((one, "z"))
        elif one.type == "bar":
            found.append((one, "x" if one.orientation == "h" else "y"))
        elif one.type == "scatter" and not has_map and one.mode != "text" and one.x is not None and len(one.x) > 1:
            found.append((one, "y"))
    return found


def _larger(figure: go.Figure) -> None:
    """The largest number a tenth further from zero."""
    for one, name in _numbers(figure):
        values = np.array(getattr(one, name), np.float64)
        if values.size and np.isfinite(values).any() and np.nanmax(np.abs(values)) > 0:
            place = np.unravel_index(np.nanargmax(np.abs(values)), values.shape)
            values[place] *= 1.1
            setattr(one, name, values)
            return


def _turned(figure: go.Figure) -> None:
    """Last row first."""
    for one, name in _numbers(figure):
        values = np.array(getattr(one, name), np.float64)
        if not np.array_equal(values, values[::-1], equal_nan=True):
            setattr(one, name, values[::-1])


def _labels_shifted(figure: go.Figure) -> None:
    for axis in (figure.layout.xaxis, figure.layout.yaxis):
        if axis.ticktext and len({*axis.ticktext}) > 1:
            axis.ticktext = [*axis.ticktext[1:], axis.ticktext[0]]


def _upside_down(figure: go.Figure) -> None:
    for axis in (figure.layout[name] for name in ("yaxis", "yaxis2") if name in figure.layout):
        if axis.range is not None:
            axis.range = list(axis.range)[::-1]


def _pictures_turned(figure: go.Figure) -> None:
    for picture in figure.layout.images:
        turned, written = Image.fromarray(picture_pixels(picture.source)[::-1]), io.BytesIO()
        turned.save(written, "PNG")
        picture.source = "data:image/png;base64," + base64.b64encode(written.getvalue()).decode()


def _crosses_moved(figure: go.Figure) -> None:
    for one in figure.data:
        if one.type == "scatter" and one.marker.symbol == "x-thin":
            one.x = np.array(one.x) + 1


def _names_shifted(figure: go.Figure) -> None:
    """What the points and bars say of themselves: of the next one."""
    for one in figure.data:
        if one.type == "scatter" and one.mode != "lines" and one.customdata is not None and len(one.customdata) > 1:
            one.customdata = [*one.customdata[1:], one.customdata[0]]


FAULTS = {
    "larger": _larger,
    "turned": _turned,
    "labels": _labels_shifted,
    "upside down": _upside_down,
    "picture": _pictures_turned,
    "crosses": _crosses_moved,
    "names": _names_shifted,
}
NAMED = {"tree", "wall", "head_map", "paths", "direct_heads"}  # figures whose points say which they are


class Reading:
    """What the readers say of a page's figures: as they are drawn, and after each fault that changes them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.errors: dict[str, float | None] = {}
        self.broken: dict[tuple[str, str], float | None] = {}
        self.unread: list[str] = []
        right = page_check.drawn_parts

        def drawn_parts(trace: Trace, keys: tuple[str, ...] | None = None) -> list[Part]:
            if keys is None:
                self._read(trace)
            return right(trace, keys)

        monkeypatch.setattr(page_check, "drawn_parts", drawn_parts)

    def _read(self, trace: Trace) -> None:
        readers = READERS.get(st.session_state.page_drawn, {})
        runs = {id(run[-1]): run[-1] for run in st.session_state.ran} if readers is READERS["output"] else {0: trace}

        def read(key: str, figure: go.Figure) -> float | None:
            found = [
                error for run in runs.values() if (error := page_check._error_of(readers[key], run, figure)) is not None
            ]
            return min(found, default=None)

        self.errors, self.broken, self.unread = {}, {}, []
        for key, one in st.session_state.drawn.items():
            if key not in readers:
                if not (one.figure.layout.meta or {}).get("shows"):
                    self.unread.append(key)
                continue
            self.errors[key] = read(key, one.figure)
            for name, fault in FAULTS.items():
                figure = go.Figure(one.figure)
                if name != "names" or key in NAMED:
                    fault(figure)
                if figure.to_json() != go.Figure(one.figure).to_json():
                    self.broken[key, name] = read(key, figure)

    def judge(self, expected: set[str]) -> None:
        limit = page_check.CELL_LIMIT
        assert expected <= {*self.errors}, expected - {*self.errors}
        for key, error in self.errors.items():
            assert error is not None, key
            assert error <= limit, (key, error)
            # A map that is blank or the same upside down stays as it is; each figure has a way that is noticed.
            assert any(place == key for place, _ in self.broken), key
        for (key, name), error in self.broken.items():
            assert error is not None, (key, name)
            assert error > limit, (key, name, error)


PAGES: dict[str, tuple[str, dict[str, Any], set[str]]] = {
    "inside 1": ("inside", {"inside_step": 1}, {"vectors"}),
    "inside 2": ("inside", {"inside_step": 2}, {"factors", "products", "sums", "dots"}),
    "inside 3": ("inside", {"inside_step": 3}, {"dots", "scaled", "masked"}),
    "inside 4": ("inside", {"inside_step": 4, "divisor": 8}, {"masked", "powers", "weights", "yours"}),
    "inside 5": ("inside", {"inside_step": 5}, {"weighted", "weights"}),
    "inside 6": ("inside", {"inside_step": 6}, {"match"}),
    "positions": ("positions", {}, {"pe_table", "pe_similarity", "waves", "circle"}),
    "positions, other table": ("positions", {"pe_d": 64, "pe_base": 100}, {"pe_table", "waves", "circle"}),
    "output": ("output", {"step": 2}, {"probabilities", "step_candidates", "looks", "lens"}),
    "output, another run": ("output", {"method": "sample", "seed": 5}, {"probabilities", "step_candidates"}),
    "output, who wrote it": ("output", {"step": 2, "who": True}, {"who_bars"}),
    "output, beams": ("output", {"method": "beam"}, {"tree"}),
    "compare": ("compare", {}, {"map_a", "map_b", "map_difference", "row_divergence", "similarity", "head_map"}),
    "compare wall": ("compare", {"more": "wall"}, {"wall"}),
    "compare texts": (
        "compare",
        {"compare": "sentences", "b_text": "the cat heard the dog", "more": "part"},
        {"map_a", "map_b", "map_difference", "row_divergence"},
    ),
    "compare norms": (
        "compare",
        {
            "scale": "norm",
            "sink": True,
            "kind": "encoder",
            "more": "through",
            "b_kind": "encoder",
            "b_layer": 1,
            "b_head": 2,
        },
        {"map_a", "through"},
    ),
    "layers": ("layers", {}, {"activations", "norms", "similarities", "paths", "neurons", "sparsity"}),
    "masks": (
        "masks",
        {},
        {"mask", "before", "after", "batch_encoder_1", "batch_encoder_2", "batch_cross_1", "batch_cross_2"},
    ),
    "changes": ("changes", {}, {"ranked", "effects_encoder", "effects_cross"}),
    "changes, directly": ("changes", {"direct": True}, {"direct_heads"}),
    "changes after an edit": ("changes", {"edits": "heads:decoder.0.1=0.0"}, {"divergence", "candidates"}),
}


@pytest.mark.parametrize("name", PAGES)
def test_each_figure_of_a_page_is_read_back(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    page, settings, expected = PAGES[name]
    reading = Reading(monkeypatch)
    app = opened()
    app.text_area(key="text").set_value(SENTENCE).run()
    app = go_to(app, page)
    for key, value in settings.items():
        app.session_state[key] = value
    app.run()
    assert not app.exception
    print(name, reading.errors, reading.unread)
    reading.judge(expected)
    assert badge(app).startswith(":green[")


def test_a_wrong_guess_turns_the_badge_red(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build("bert", tmp_path)
    server_state.drop_all()
    with offering(
        "made", Entry("made", "encoder", 0, "", "", ("encoder", 1, 2), folder=tmp_path), TEXT, "output"
    ) as app:
        assert not app.exception
        assert badge(app).startswith(":green[")
        app.session_state["badge_page"] = True
        app.run()
        assert say("badge.part_guess") in texts(app)
        right = results.masked_token_logits
        monkeypatch.setattr(results, "masked_token_logits", lambda *place: right(*place)[::-1].copy())  # type: ignore[index]
        app.run()
        assert badge(app).startswith(":red[")
        assert say("badge.part_guess") in badge(app)


@pytest.mark.parametrize("family", ["gemma2", "gpt-oss"])
def test_a_cap_and_a_sink_are_drawn_as_the_run_has_them(
    family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(family, tmp_path)
    reading = Reading(monkeypatch)
    server_state.drop_all()  # the name may stand for another folder
    with offering(
        "made", Entry("made", "decoder", 0, "", "", ("decoder", 1, 2), folder=tmp_path), TEXT, "inside"
    ) as app:
        for step, expected in ((3, {"dots", "masked"}), (4, {"masked", "weights", "yours"})):
            app.session_state["inside_step"] = step
            app.run()
            assert not app.exception
            reading.judge(expected)
            assert badge(app).startswith(":green[")
        looks = {one.caption for one in app.session_state["drawn"].values()}
        assert (say("inside.weights_sink_look") in looks) == (family == "gpt-oss")
