"""A model of clips on every page: example clips stand where the sentence does, time and space are two kinds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from streamlit.testing.v1 import AppTest

from model.catalog.entries import Entry
from model.translator.video.divided_attention import VideoConfig, VideoTransformer
from tests.app import driving


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppTest]:
    """The app with a random small model of clips, which the catalog has beside the others."""
    torch.manual_seed(2)
    folder = tmp_path_factory.mktemp("clips")
    VideoTransformer(VideoConfig(d_model=16, num_heads=2, layers=2, d_ff=16)).save(folder)
    entry = Entry("Clips", "encoder", 1, "MIT", "tests", ("time", 1, 0), folder=folder, takes="video")
    with driving.offering("clips", entry, None, "heads") as app:
        yield app


def test_the_bar_offers_clips_and_the_page_both_kinds(app: AppTest) -> None:
    assert not app.exception
    pills = next(one for one in app.get("button_group") if one.key == "picture")
    assert pills.options == ["One digit", "Two digits"]
    assert app.session_state["kind"] == "time"
    shown = app.session_state["ran"][0][-1]
    assert list(shown.attentions) == ["time", "space"]
    assert shown.output in driving.output_line(app)
    other = driving.choose(app, "picture", "clip_two")
    assert other.session_state["ran"][0][-1].text.endswith("clip_two.gif")
    assert driving.badge(app).startswith(":green[")


@pytest.mark.parametrize("kind", ["time", "space"])
@pytest.mark.parametrize("page", [page for page in driving.PAGES if page != "heads"])
def test_every_page_opens(app: AppTest, page: str, kind: str) -> None:
    app.session_state["kind"] = kind
    driving.go_to(app, page)
    assert not app.exception
    assert not [error.value for error in app.error]
