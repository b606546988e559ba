"""The Video page: frames with patches, the known tracks, and the heads that stay on them."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from tests.app.driving import APP, badge, choose, go_to, opened, read_back, texts, unsaved
from viz.frame.bars.top_bar import suits
from viz.language.messages import say


@pytest.fixture
def app() -> AppTest:
    app = AppTest.from_file(str(APP), default_timeout=120)
    app.session_state["model"] = "moving-digits"
    return go_to(app, "video")


def page_html(app: AppTest) -> str:
    return "".join(block.proto.body for block in app.get("html"))


def test_the_whole_model_shows_attention_over_time_and_over_space(app: AppTest) -> None:
    go_to(app, "whole")
    boxes = {box["name"]: box["title"] for box in app.session_state["drawn"]["whole"].figure.layout.meta["boxes"]}
    assert [boxes[f"encoder.1.{index}"] for index in range(2)] == [
        say("whole.time_attention"),
        say("whole.space_attention"),
    ]
    app.session_state["edits"] = "blocks:encoder.1.space_attention"
    app.run()
    assert badge(app).startswith(":green[")
    assert not app.exception


def test_frames_patches_and_track_are_there(app: AppTest) -> None:
    assert not app.exception
    html = page_html(app)
    assert html.count('class="clip-frame"') == 8
    assert re.findall(r'data-place="(\d+)"', html.split('class="tinted"')[1]) == [str(i) for i in range(200)]
    assert html.count('class="clip-track kind-0"') == 8
    assert app.session_state["row_time"] == 11  # the digit's middle in frame 0
    assert {"frames", "tracks"} <= set(app.session_state["drawn"])
    assert "tracks" in read_back(app)
    (said,) = (one.value for one in app.markdown if one.value.startswith("**8 moving down**"))
    assert "**89%**" in said
    assert not unsaved(app)
    assert badge(app).startswith(":green[")


def test_two_digits_have_two_tracks_and_space_its_own_heads(app: AppTest) -> None:
    app = choose(choose(app, "picture", "clip_two"), "kind", "space")
    html = page_html(app)
    assert html.count('class="clip-track kind-1"') == 8
    assert "**1 moving down, 8 moving up**" in texts(app)
    shares = app.session_state["drawn"]["tracks"].figure.data[0].y
    assert max(shares) > 0.8 > 5 * app.session_state["drawn"]["tracks"].figure.data[1].y[0]
    assert badge(app).startswith(":green[")


def test_the_answer_that_changes_most_is_drawn(app: AppTest) -> None:
    app = choose(app, "picture", "clip_two")
    app.session_state["edits"] = ";".join(f"heads:time.{layer}.{head}=0" for layer in range(3) for head in range(4))
    go_to(app, "changes")
    drawn = app.session_state["drawn"]["candidates"]
    before, after = (np.asarray(one.x) for one in drawn.figure.data)
    assert drawn.figure.layout.title.text == say("changes.answers_title")
    assert abs(before - after).max() > 0.5  # digit 0 is in neither answer
    assert drawn.caption.startswith("The model gives 10 answers. Drawn is number 8, ")
    assert badge(app).startswith(":green[")


def test_an_own_clip_has_no_track(app: AppTest) -> None:
    frames = [Image.fromarray(np.full((30, 30), 20 * i, np.uint8)) for i in range(8)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    app.file_uploader[0].upload("own.gif", buffer.getvalue(), "image/gif").run()
    assert not app.exception
    assert say("video.no_track") in [one.value for one in app.caption]
    assert 'class="clip-track' not in page_html(app)


@pytest.mark.parametrize(
    ("content", "reason"), [(b"\x00\x00\x00\x18ftypisom", "clip_library"), (b"GIF89a", "clip_none"), (b"", "clip_none")]
)
def test_a_clip_that_is_not_read_gets_a_sentence(
    app: AppTest, content: bytes, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model.structures.media.find_spec", lambda name: None)
    app.file_uploader[0].upload("own.mp4", content, "video/mp4").run()
    assert not app.exception
    assert [one.value for one in app.warning] == [say(f"errors.{reason}")]


def test_a_model_of_texts_gets_a_sentence() -> None:
    app = go_to(opened(), "video")
    assert not app.exception
    assert [one.value for one in app.info] == [say("video.texts")]


def test_the_menu_has_the_page_where_it_suits_the_model() -> None:
    assert suits("video", "moving-digits")
    assert suits("video", "vit")
    assert not suits("video", "en-fr")
    assert suits("heads", "en-fr")
    assert suits("video", "someone/unknown")  # nobody knows what it reads
