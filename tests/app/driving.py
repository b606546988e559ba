"""How tests drive the app without a browser, and read what it shows; see `AppTest` of Streamlit."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from model.catalog.entries import CATALOG, Entry
from viz.frame import server_state
from viz.language.messages import strip_markdown

APP = Path(__file__).parents[2] / "app.py"
PAGES = (
    "whole",
    "heads",
    "inside",
    "compare",
    "masks",
    "positions",
    "layers",
    "text",
    "output",
    "changes",
    "code",
)
WIDGETS = ("button_group", "selectbox", "select_slider", "slider", "number_input", "toggle", "radio", "text_input")


def forget_results() -> None:
    """Drop what earlier tests computed, and other models than the bundled translator.

    That stays open: a model that leaves has the collector look at every object of all libraries.
    """
    if {name for name, _ in server_state.model_registry().open_keys()} - {"en-fr"}:
        server_state.drop_all()
    server_state.result_cache().clear()


def opened() -> AppTest:
    """The app on a first visit to Heads."""
    return go_to(AppTest.from_file(str(APP), default_timeout=120), "heads")


@contextmanager
def offering(name: str, entry: Entry, text: str | None, page: str) -> Iterator[AppTest]:
    """The app on a page, where a made model is on offer and chosen.

    Args:
        name: of it in the catalog; text: what is typed, None for a model that reads no texts.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(CATALOG, name, entry)
        app = AppTest.from_file(str(APP), default_timeout=120)
        app.session_state["model"] = name
        if text is not None:
            app.session_state["text"] = text
        yield go_to(app, page)


def go_to(app: AppTest, page: str) -> AppTest:
    """The app on another page. page: its name, that of its file"""
    return app.switch_page(f"viz/pages/{page}.py").run()


def choose(app: AppTest, key: str, value: object) -> AppTest:
    """The app after a choice: by the widget with this key, else as a click on a figure leaves it in the session."""
    for kind in WIDGETS:
        for widget in app.get(kind):
            if widget.key == key:
                return widget.set_value(value).run()
    app.session_state[key] = value
    return app.run()


def heat(app: AppTest, number: int = 0) -> dict[str, object]:
    """The heat map of this number on the page, from 0, as a Plotly trace."""
    figures = [json.loads(chart.proto.spec) for chart in app.get("plotly_chart")]
    maps = [part for figure in figures for part in figure["data"] if part["type"] == "heatmap"]
    return maps[number]


def shown_head(app: AppTest) -> tuple[int, int]:
    """Layer and head that the heading of the Heads page names."""
    named = (re.match(r"Layer (\d+), head (\d+)", one.value) for one in app.header)
    (found,) = (one for one in named if one)
    return int(found[1]), int(found[2])


def titles(app: AppTest) -> list[str]:
    """Titles of the page's figures, also where the page shows them without."""
    return [one.figure.layout.title.text for one in app.session_state["drawn"].values()]


def texts(app: AppTest) -> str:
    """All Markdown on the page."""
    return "\n".join(m.value for m in app.markdown)


def output_line(app: AppTest) -> str:
    """The words in the bar that follow the sentence, as one reads them: tokens and output, between spaces."""
    lines = [block.proto.body for block in app.get("html") if 'class="tokens"' in block.proto.body]
    return html.unescape(re.sub(r"(<[^>]*>)+", " ", "".join(lines))).strip()


def badge(app: AppTest) -> str:
    """Label of the page's verification badge."""
    labels = [block.proto.popover.label for block in app.get("popover")]
    return next(label for label in labels if label.startswith((":green[", ":gray[:material/repeat", ":red[")))


def read_back(app: AppTest) -> set[str]:
    """Keys of the figures that the page itself read back, found as they should be, and gave the badge."""
    claims = {key: found for key, (_, found) in app.session_state["claims"].items()}
    return {key for key in app.session_state["drawn"] if isinstance(claims.get(key), float) and claims[key] < 1e-5}


def unsaved(app: AppTest) -> list[str]:
    """Sentences with numbers that the page says, but neither the title of its saved pages nor a figure in them."""
    state = app.session_state
    captions = [" ".join((one.caption, *one.notes)) for one in state["drawn"].values()]
    saved = [state["said"], *map(strip_markdown, captions)]
    drawn = [m for m in app.main.markdown if re.search(r"\d", m.value) and not m.value.startswith((":", "<"))]
    return [one.value for one in drawn if not any(strip_markdown(one.value) in sentence for sentence in saved)]


def changed(app: AppTest) -> list[str]:
    """The changes to the model, in words, that the bar lists."""
    mark = ":orange[:material/edit:] "
    return [m.value.removeprefix(mark) for m in app.markdown if m.value.startswith(mark)]
