"""What a page says in numbers beside a figure stands under the figure in what is saved, on every page."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping

import pytest
from streamlit.testing.v1 import AppTest

from model.assets import ASSETS
from model.catalog.store import local_folder
from tests.app.driving import APP, PAGES, choose
from viz.language.messages import say, strip_markdown

SENTENCE = "The red car stopped."
# What speaks of no figure: scales and scripts to choose from, the source of a structure that can be opened.
ELSEWHERE = ("compare.scale_weight", "code.copy_why")


def opened(page: str, model: str, text: str | None, choices: Mapping[str, object]) -> AppTest:
    app = AppTest.from_file(str(APP), default_timeout=120)
    app.switch_page(f"viz/pages/{page}.py")
    app.query_params["model"] = model
    if text is not None:
        app.query_params["text"] = text
    app.run()
    for key, value in choices.items():
        app = app.button(key=key).click().run() if value is None else choose(app, key, value)
    return app


def plain(sentence: str) -> str:
    """A sentence without marks, colours and icons."""
    return strip_markdown(re.sub(r":material/\w+: |:(green|red)\[|\]$", "", sentence)).strip()


def unsaved(app: AppTest) -> list[str]:
    """Sentences with numbers on the page that no saved figure says."""
    assert not app.exception
    drawn = app.session_state["drawn"]
    assert drawn
    saved = " ".join(plain(f"{one.saved_caption()} {one.figure.layout.title.text or ''}") for one in drawn.values())
    said = [plain(one.value) for one in [*app.markdown, *app.caption] if not one.value.lstrip().startswith(("<", "#"))]
    elsewhere = [plain(say(name, library="", layer=0, head=0))[:12] for name in ELSEWHERE]
    return [
        one
        for one in said
        if re.search(r"\d", one)
        and one not in saved
        and not one.startswith(("PDB ", *elsewhere))
        and not any(word in one for word in ("PyTorch", "is silent"))  # a script, a change of the model
    ]


CASES: list[tuple[str, str, dict[str, object]]] = [
    *((page, "en-fr", {}) for page in PAGES),
    *(("inside", "en-fr", {"inside_step": step}) for step in range(2, 7)),
    ("changes", "en-fr", {"silence": None}),
    ("compare", "en-fr", {"hide": True}),
    ("output", "en-fr", {"who": True}),
    ("layers", "python", {}),
    ("layers", "smollm2", {}),
    ("positions", "smollm2", {}),
    ("positions", "minilm", {}),
    ("changes", "minilm", {"silence": None}),
]


@pytest.mark.parametrize(("page", "model", "choices"), CASES)
def test_sentences_with_numbers_are_saved_with_their_figure(
    page: str, model: str, choices: Mapping[str, object]
) -> None:
    if not local_folder(model):
        pytest.skip(f"{model} is not here: python -m model.catalog get {model}")
    assert not unsaved(opened(page, model, SENTENCE, choices))


EXAMPLES = [
    (one["page"], one["model"], one.get("text"))
    for card in tomllib.loads((ASSETS / "uses.toml").read_text(encoding="utf-8"))["use"]
    for one in card["try"]
    if one["page"] in ("text", "protein", "chemistry", "program", "video")
]


@pytest.mark.parametrize(("page", "model", "text"), EXAMPLES)
def test_sentences_of_each_use_are_saved_with_their_figure(page: str, model: str, text: str | None) -> None:
    if not local_folder(model):
        pytest.skip(f"{model} is not here: python -m model.catalog get {model}")
    assert not unsaved(opened(page, model, text, {}))


def test_a_saved_figure_says_once_what_the_page_says_of_it() -> None:
    app = opened("inside", "en-fr", SENTENCE, {"inside_step": 2})
    (note,) = app.session_state["drawn"]["sums"].notes
    assert "64" in note or "32" in note  # numbers that are multiplied
    assert note not in app.session_state["drawn"]["sums"].saved_caption(strip_markdown(note))
