"""The bundled model of clips answers as well as its card says, and a time head follows the track."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import model
from model.training.data.clips import draw, read_digits
from model.training.moving_digits import TEST_SEED, accuracies, answer, tracks
from model.translator.video.video_model import VideoModel

FOLDER = Path("assets/moving-digits")


@pytest.fixture(scope="module")
def video() -> VideoModel:
    opened = model.load("moving-digits", device="cpu")
    assert isinstance(opened, VideoModel)
    return opened


def test_scores_of_a_sample_are_what_the_card_says(video: VideoModel) -> None:
    pytest.importorskip("sklearn")
    clips = draw(read_digits("test"), 400, 8, 30, TEST_SEED)
    found = accuracies(answer(video.module, clips.pixels), clips.answers)
    card = json.loads((FOLDER / "scores.json").read_text())
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    for name in ("digits", "directions"):
        assert found[name] >= card[name] - 1
        assert f"**{card[name]:.1f} %**" in text
    track = tracks(video.module, clips)
    share, layer, head = track["best"]  # type: ignore[misc]
    assert [layer, head] == card["track"]["best"][1:]
    assert share == pytest.approx(card["track"]["best"][0], abs=0.03)
    assert share > 1.5 * card["track"]["chance"]


@pytest.mark.parametrize(("name", "count"), [("clip_one", 1), ("clip_two", 2)])
def test_example_clips_are_answered_and_checked(video: VideoModel, name: str, count: int) -> None:
    trace = video.trace(f"assets/clips/{name}.gif")
    assert trace.classes is not None
    assert trace.output is not None
    assert sum(chance > 0.5 for _, chance in trace.classes) == count == len(trace.output.split(", "))
    assert trace.verify().ok


def test_the_bundled_files_are_small() -> None:
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) < 5e6
